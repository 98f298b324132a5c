import type { BudgetOptions } from '../../define/budget.ts';
import { fundOf, type FundPlan } from './funds.ts';
import { Random } from './random.ts';
import { mustBeWorkload, type Workload } from './workload.ts';

/** What a seed comes to: everything that is done to a cluster, each thing with a name of its own so that it can be left out. */

export interface RunPlan {
  readonly name: string;
  readonly at: number;
  /** Which of the workload's kinds. */
  readonly kind: number;
  readonly input: unknown;
  readonly budget: BudgetOptions | undefined;
  readonly tenant: string;
}

type Deed =
  | 'send'
  | 'burst'
  | 'kill'
  /** All runs of its definition, or of its tenant, or all there are; and none begins until that is lifted. */
  | 'killAll'
  | 'lift'
  | 'fork'
  | 'pause'
  | 'resume'
  | 'decide'
  | 'result'
  | 'again'
  | 'replay'
  | 'checkpoint';
export interface Act {
  readonly name: string;
  readonly at: number;
  readonly run: string;
  readonly deed: Deed;
  /** Of the processes that serve then. */
  readonly by: number;
  /** Of what it shares with others. */
  readonly width: 'definition' | 'tenant' | 'all';
}

export type StoreError = 'full' | 'io' | 'ambiguous';
export type Fault = { readonly name: string; readonly at: number } & (
  | { readonly kind: 'crash' | 'close'; readonly slot: number; readonly downMs: number }
  | { readonly kind: 'freeze'; readonly slot: number; readonly forMs: number }
  /** All processes end, and the store loses what was not flushed. `keeps`: how much of that stays all the same. */
  | { readonly kind: 'power'; readonly downMs: number; readonly keeps: number }
  | { readonly kind: 'errors'; readonly error: StoreError; readonly rate: number; readonly forMs: number }
  | { readonly kind: 'slow'; readonly upToMs: number; readonly forMs: number }
  /** One hears nothing on the bus, and is told afterwards that it may have missed something. */
  | { readonly kind: 'deaf'; readonly slot: number; readonly forMs: number }
  | { readonly kind: 'duplicates'; readonly rate: number; readonly forMs: number }
  /** Processes that begin from now on see another wall clock. */
  | { readonly kind: 'jump'; readonly byMs: number }
  | Damage
  /** A newer troupe leaves a run that has an entry of a version, or of a type, that nobody knows. */
  | { readonly kind: 'newer'; readonly how: 'version' | 'type' }
);
/** The journal of a run is altered where it is kept. `place`: where, from 0 to 1. */
export interface Damage {
  readonly kind: 'damage';
  readonly run: string;
  readonly how: 'byte' | 'hash' | 'missing' | 'twice';
  readonly place: number;
}
type FaultKind = Exclude<Fault['kind'], 'damage' | 'newer'>;

export interface Plan {
  readonly seed: number;
  readonly processes: number;
  readonly parkAfterMs: number | false;
  /** How long somebody who is gone, or stands still, counts as alive. */
  readonly leaseMs: number;
  /** What an acknowledged append without a barrier survives. */
  readonly level: 'process' | 'disk';
  /** How often a call does not simply succeed, from 0 to 1. */
  readonly trouble: number;
  /** What live runs showed is kept and compared with folds of every prefix. */
  readonly watched: boolean;
  /** Virtual time with faults. */
  readonly safetyMs: number;
  /** Tenants that have a budget. */
  readonly funds: readonly FundPlan[];
  readonly runs: readonly RunPlan[];
  readonly acts: readonly Act[];
  readonly faults: readonly Fault[];
}

const DEEDS: readonly Deed[] = [
  'send',
  'send',
  'send',
  'burst',
  'kill',
  'pause',
  'resume',
  'decide',
  'decide',
  'decide',
  'result',
  'again',
  'replay',
  'checkpoint',
  'killAll',
  'lift',
  'fork',
];
const WIDTHS: readonly Act['width'][] = ['definition', 'definition', 'tenant', 'tenant', 'tenant', 'all'];
const FAULTS: readonly FaultKind[] = [
  'crash',
  'crash',
  'crash',
  'close',
  'freeze',
  'freeze',
  'power',
  'errors',
  'errors',
  'errors',
  'slow',
  'deaf',
  'duplicates',
  'jump',
];
const HOUR_MS = 3_600_000;

/** The same seed and workload give the same plan. Each seed has its own mix of faults: some have many of one kind, some have none. @throws ValidationError */
export function planOf(seed: number, workload: Workload): Plan {
  mustBeWorkload(workload);
  const random = new Random(seed, 'plan');
  const processes = random.whole(1, 4);
  const safetyMs = random.pick([8_000, 20_000, 60_000]);
  const kinds = workload.kinds.map((_, index) => index).filter(() => random.chance(0.5));
  const tenants = random.chance(0.4) ? ['a', 'b'] : ['default'];
  const runs = Array.from({ length: random.whole(1, 6) }, (_, index): RunPlan => {
    const kind = kinds.length === 0 ? random.whole(0, workload.kinds.length - 1) : random.pick(kinds);
    const of = workload.kinds[kind];
    const at = random.between(0, safetyMs * 0.5);
    const tenant = random.pick(tenants);
    return { name: `r${index}`, at, kind, input: of?.input?.(random), budget: of?.budget?.(random), tenant };
  });
  const deeds = DEEDS.filter(() => random.chance(0.6));
  const acts = runs.flatMap((run) =>
    Array.from({ length: deeds.length === 0 ? 0 : random.whole(0, 8) }, (_, index): Act => {
      const at = run.at + random.next() ** 2 * (safetyMs - run.at);
      const [deed, by, width] = [deedOf(random, deeds), random.whole(0, 11), random.pick(WIDTHS)];
      return { name: `${run.name}a${index}`, at, run: run.name, deed, by, width };
    }),
  );
  const damaged = random.chance(0.1) ? random.pick(runs) : undefined;
  const funds = damaged === undefined && tenants.length > 1 && random.chance(0.3) ? [fundOf('a', random)] : [];
  // A power cut may take back what a tenant has drawn, or what is damaged; periods are counted by clocks that agree.
  const calm = funds.length > 0 || damaged !== undefined;
  const possible = FAULTS.filter((kind) => !calm || (kind !== 'power' && kind !== 'jump'));
  const on = possible.filter(() => random.chance(0.4));
  const count = on.length === 0 ? 0 : random.whole(1, 12);
  const faults = Array.from({ length: count }, (_, index) =>
    faultOf(`f${index}`, random.pick(on), random, { processes, safetyMs }),
  );
  if (random.chance(0.06)) {
    const how = random.pick(['version', 'type'] as const);
    faults.push({ name: 'newer', at: random.between(0, safetyMs * 0.7), kind: 'newer', how });
  }
  if (damaged !== undefined) faults.push(damageOf(damaged, random, safetyMs));
  return {
    seed,
    processes,
    parkAfterMs: random.pick([false, 50, 400, 3_000]),
    leaseMs: random.pick([0, 1_000, 3_000]),
    level: random.chance(0.7) ? 'process' : 'disk',
    trouble: random.pick([0, 0.2, 0.5]),
    watched: random.chance(0.15),
    safetyMs,
    funds,
    runs,
    acts: acts.sort((a, b) => a.at - b.at),
    faults: faults.sort((a, b) => a.at - b.at),
  };
}

function damageOf({ name: run, at: begun }: RunPlan, random: Random, safetyMs: number): Fault {
  const at = begun + random.next() ** 3 * (safetyMs - begun);
  const how = random.pick(['byte', 'byte', 'hash', 'missing', 'twice'] as const);
  return { name: 'damage', at, kind: 'damage', run, how, place: random.next() };
}

/** A fork is another run: not as often as the rest. */
function deedOf(random: Random, deeds: readonly Deed[]): Deed {
  const deed = random.pick(deeds);
  return deed === 'fork' && random.chance(0.5) ? 'send' : deed;
}

function faultOf(
  name: string,
  kind: FaultKind,
  random: Random,
  { processes, safetyMs }: { processes: number; safetyMs: number },
): Fault {
  const at = random.between(0, safetyMs);
  const slot = random.whole(0, processes - 1);
  const forMs = random.pick([50, 500, 4_000, 12_000]);
  switch (kind) {
    case 'crash':
    case 'close':
      return { name, at, kind, slot, downMs: random.pick([1, 200, 6_000]) };
    case 'freeze':
      return { name, at, kind, slot, forMs: random.pick([300, 4_000, 9_000, 15_000]) };
    case 'power':
      return { name, at, kind, downMs: random.pick([1, 2_000]), keeps: random.pick([0, 0.5, 1]) };
    case 'errors':
      return {
        name,
        at,
        kind,
        error: random.pick(['full', 'io', 'ambiguous']),
        rate: random.pick([0.1, 0.5, 1]),
        forMs,
      };
    case 'slow':
      return { name, at, kind, upToMs: random.pick([20, 300, 2_000]), forMs };
    case 'deaf':
      return { name, at, kind, slot, forMs };
    case 'duplicates':
      return { name, at, kind, rate: random.pick([0.3, 1]), forMs };
    case 'jump':
      return { name, at, kind, byMs: random.pick([-HOUR_MS, HOUR_MS]) };
  }
}
