import { RESOURCES } from '../../src/protocol/amount.ts';
import type { Budget, Child, EntryEvents, Limits, Resource, Spent } from '../../src/protocol/entry.ts';
import { ValidationError } from '../../src/protocol/errors.ts';
import type { RunId } from '../../src/protocol/ids.ts';

/** A run that is to go on with other limits. */
interface Limited {
  readonly id: RunId;
  /** Of calls under way. */
  readonly openChildren: readonly Child[];
  readonly gate: { readonly budget: Budget | null; readonly spent: Spent };
}

type Begun = Pick<EntryEvents['run.created'], 'budget' | 'parent'>;

/**
 * What a run may spend that a call has begun is fixed when it begins: a limit that its parent is given later binds it only if it fits in there.
 * `begun`: how such a run was begun; undefined where it can spend nothing more. @throws ValidationError
 */
export async function mustBind(
  asked: Limits,
  { id: run, openChildren, gate }: Limited,
  begun: (child: RunId) => Promise<Begun | undefined>,
): Promise<void> {
  const { budget, spent } = gate;
  const narrower = RESOURCES.filter((one) => (asked[one] ?? Infinity) < (budget?.[one] ?? Infinity));
  if (narrower.length === 0) return;
  const unbound: { call: string; child: RunId; resource: Resource; may: number | undefined }[] = [];
  for (const { run: child } of openChildren) {
    const found = await begun(child);
    if (found?.parent?.run !== run) continue;
    for (const resource of narrower) {
      const may = found.budget?.[resource];
      // What it holds back is in `spent` already, but time is not held back.
      const inAll = spent[resource] + (resource === 'wallClockMs' ? (may ?? 0) : 0);
      if (may === undefined || (may > 0 && inAll > (asked[resource] ?? Infinity)))
        unbound.push({ call: found.parent.call, child, resource, may });
    }
  }
  const [first] = unbound;
  if (first === undefined) return;
  const calls = unbound.map(
    ({ call, child, resource, may }) =>
      `${call} (run ${child}) ${may === undefined ? `was begun without a limit of ${resource}` : `may spend ${may} ${resource} beside what else is spent`}`,
  );
  const path = `budget.${first.resource}`;
  throw new ValidationError(
    `Run ${run} cannot go on with ${narrower.map((one) => `${asked[one]} ${one}`).join(', ')}: ${calls.join('; ')}. Leave that out or give more, or wait until it has ended.`,
    { run, path, limit: asked[first.resource], calls: unbound },
  );
}
