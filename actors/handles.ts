import type { Backend } from '../src/backend.ts';
import type { Read } from '../src/chain.ts';
import { MAX_TIMEOUT_MS, type Clock } from '../src/clock.ts';
import type { Ack, HandlePorts, Pending } from '../src/handle.ts';
import { entriesIn } from '../src/listing.ts';
import type { RunId } from '../src/protocol/ids.ts';
import type { Message } from '../src/protocol/inbox.ts';
import type { Allotments } from './allotments.ts';
import { pendingIn } from './pending.ts';
import type { Runs } from './runs.ts';

interface Ports extends Pick<HandlePorts, 'kill' | 'report' | 'principal'> {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly runs: Pick<Runs, 'live' | 'wake' | 'waits' | 'mail' | 'reading' | 'register'>;
  readonly allotments: Pick<Allotments, 'raise'>;
  /** Aborted when this process is to let go of everything: whoever follows a run elsewhere waits no more. */
  readonly closing: AbortSignal;
  /** @throws ClosedError */
  mustBeOpen(): void;
}

/** What the handles of this process stand on. */
export function handlePorts(ports: Ports): HandlePorts {
  const { backend, clock, runs, allotments, kill, report, principal, closing } = ports;
  const { journal, owner } = backend;
  const looking = {
    live: (run: RunId) => runs.live(run),
    fold: (run: RunId) => runs.reading.fold(run),
    isOwned: (run: RunId) => runs.register.isOwned(run),
    owner,
    clock,
  };
  return {
    entries: (run, after?: Read) => entriesIn(journal, run, after),
    live: looking.live,
    waits: (run) => runs.waits(run),
    wake: (run) => runs.wake(run),
    principal,
    say: async (run: RunId, message: Message): Promise<Ack> => {
      ports.mustBeOpen();
      if (message.type !== 'resume' || message.budget === null) return runs.mail.say(run, message);
      return runs.mail.say(run, { ...message, budget: await allotments.raise(run, message.budget) });
    },
    pending: (run): Promise<Pending> => pendingIn(run, looking),
    watch: (run, changed) => {
      // Whoever follows a run keeps the process alive, also while nothing comes.
      const alive = clock.setTimeout(() => {}, MAX_TIMEOUT_MS);
      const unwatch = journal.watch(run, changed);
      const end = (): void => {
        clock.clearTimeout(alive);
        unwatch();
        closing.removeEventListener('abort', over);
      };
      const over = (): void => {
        end();
        changed();
      };
      closing.addEventListener('abort', over);
      return end;
    },
    kill,
    report,
    closed: () => closing.aborted,
  };
}
