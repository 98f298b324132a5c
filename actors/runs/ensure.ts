import type { Journal } from '../../src/backend.ts';
import { unseal } from '../../src/chain.ts';
import type { EntryEvents } from '../../src/protocol/entry.ts';
import {
  DefinitionChangedError,
  InvalidStateTransitionError,
  ReplayDivergenceError,
  StaleOwnerError,
  ValidationError,
} from '../../src/protocol/errors.ts';
import type { OwnerId, RunId } from '../../src/protocol/ids.ts';
import type { Resolved } from '../body.ts';
import { readEnd } from '../owner.ts';
import type { Creating } from './creating.ts';
import { insist, type InsistPorts } from './later.ts';

export interface EnsurePorts extends InsistPorts {
  readonly owner: OwnerId;
  readonly journal: Journal;
  readonly creating: Pick<Creating, 'create'>;
  adopt(run: RunId): Promise<unknown>;
  forget(run: RunId): Promise<void>;
}

type Created = Omit<EntryEvents['run.created'], 'owner'>;

/**
 * The run of a call: begun, or brought here, however often the store fails. It may be on record by then, and its parent's call is to know
 * how it ends.
 */
export async function ensure(
  id: RunId,
  created: Created,
  body: Resolved,
  signal: AbortSignal,
  ports: EnsurePorts,
): Promise<void> {
  await insist(`run ${id}: beginning it`, ports, () => {
    signal.throwIfAborted();
    return bring(id, created, body, ports);
  });
}

async function bring(id: RunId, created: Created, body: Resolved, ports: EnsurePorts): Promise<void> {
  const { owner, journal, creating } = ports;
  const made = await creating.create(id, { ...created, owner }, body);
  if (made.run !== undefined) return;
  await mustBeOurs(id, created, journal);
  if (made.registered && (await readEnd(journal, id)) !== undefined) return ports.forget(id);
  await ports.adopt(id).catch((error: unknown) => {
    // It lives elsewhere, or has ended.
    if (error instanceof StaleOwnerError || error instanceof InvalidStateTransitionError) return;
    // It is there all the same: its call waits until somebody goes on with it.
    if (!(error instanceof DefinitionChangedError || error instanceof ReplayDivergenceError)) throw error;
    ports.report(error, `run ${id} is left as it is, and ${created.parent?.run} waits for it`);
  });
}

/** Whoever has chosen its id for a run of his own has not begun this one. @throws ValidationError */
async function mustBeOurs(id: RunId, { parent }: Created, journal: Journal): Promise<void> {
  for await (const { entry } of unseal(id, journal.read(id))) {
    if (entry.type === 'run.created' && entry.event.parent?.run === parent?.run) return;
    const refusal = new ValidationError(
      `Run ${id}, which call ${parent?.call} of run ${parent?.run} would begin, exists and was begun by somebody else; end that, and start another run.`,
      { run: id, parent: parent?.run, call: parent?.call },
    );
    // No run has begun for it: it costs nothing.
    throw Object.assign(refusal, { notPerformed: true });
  }
}
