import type { AnyActorRef, AnyMachineSnapshot } from 'xstate';
import { toData } from '../../src/codec.ts';
import type { Beginning, Budget, Child, EntryEvents, Paused, Spent } from '../../src/protocol/entry.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import type { Said } from '../said.ts';

/** A run, as far as a new beginning of it says. */
interface Known {
  /** The entry that its actors began with. */
  readonly beginning: Beginning;
  readonly system: { readonly nodes: { readonly bodies: number } };
  /** The last message of its inbox that it has taken. */
  readonly commands: { readonly taken: number };
  readonly calls: {
    readonly gate: { readonly spent: Spent; readonly budget: Budget | null; readonly paused: Paused | undefined };
  };
}

interface Continued extends Known {
  readonly id: RunId;
  readonly owner: string;
  readonly position: { readonly seq: number };
  readonly status: string;
  readonly bodyActor: AnyActorRef | undefined;
  readonly system: Known['system'] & { readonly calls: boolean };
  readonly rest: { readonly rests: boolean };
  readonly openChildren: readonly Child[];
}

interface Options {
  /** The input of its new beginning; undefined: not now. */
  readonly continueAs: (snapshot: AnyMachineSnapshot) => unknown;
  /** Entries since its last beginning from which it is asked. */
  readonly after: number;
  readonly report: (error: unknown, where: string) => void;
}

/** What a new beginning of a run says. */
export function again(
  { beginning, system, commands, calls }: Known,
  { definition, version, chart }: { definition: string; version: string; chart: string },
  input: unknown,
  owner: string,
): EntryEvents['run.continued'] {
  const { bodies } = system.nodes;
  const { spent, budget, paused } = calls.gate;
  // How it was when it began before says nothing of how it is.
  const { paused: _, ...before } = { paused: undefined, ...beginning.event };
  const changed = { definition, version, chart, input, owner, body: bodies + 1, inbox: commands.taken, spent, budget };
  return { ...before, ...changed, ...(paused && { paused }) };
}

/**
 * When a run that lives long begins again in the same journal.
 *
 * R2. A new beginning is recorded only when nothing is under way; what follows it needs nothing from before.
 */
export class Continuing {
  readonly #run: Continued;
  readonly #options: Options;
  /** When `continueAs` was asked and threw. */
  #asked = 0;

  constructor(run: Continued, options: Options) {
    this.#run = run;
    this.#options = options;
  }

  /** R2. Undefined: not now. */
  next(): Said<'run.continued'> | undefined {
    const { continueAs, after, report } = this.#options;
    const run = this.#run;
    const { seq } = run.position;
    if (
      seq - Math.max(run.beginning.seq, this.#asked) < after ||
      !run.rest.rests ||
      // A new body would not know that it is paused, or in its last turn.
      run.status !== 'running'
    )
      return undefined;
    if (run.openChildren.length > 0 || run.system.calls) return undefined;
    try {
      const input = toData(continueAs(run.bodyActor?.getSnapshot() as AnyMachineSnapshot), 'continueAs');
      if (input === undefined) return undefined;
      const event = again(run, run.beginning.event, input, run.owner);
      return { type: 'run.continued', target: 'run', event, cause: seq };
    } catch (error) {
      report(error, `run ${run.id}: continueAs`);
      // Once for each thousand entries, not for each entry.
      this.#asked = seq;
      return undefined;
    }
  }
}
