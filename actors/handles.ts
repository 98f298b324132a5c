import type { Backend } from '../src/backend.ts';
import type { Read } from '../src/chain.ts';
import { MAX_TIMEOUT_MS, type Clock } from '../src/clock.ts';
import type { Ack, HandlePorts, Pending } from '../src/handle.ts';
import { asFailure } from '../src/codec.ts';
import { entriesIn } from '../src/listing.ts';
import type { RunId } from '../src/protocol/ids.ts';
import type { Message } from '../src/protocol/inbox.ts';
import type { Allotments } from './allotments.ts';
import { record } from './control.ts';
import { pendingIn } from './pending.ts';
import type { Runs } from './runs.ts';

interface Ports extends Pick<HandlePorts, 'kill' | 'report' | 'principal'> {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly runs: Pick<Runs, 'live' | 'wake' | 'waits' | 'mail' | 'reading' | 'register'>;
  readonly allotments: Pick<Allotments, 'mayRaise'>;
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
      // Its owner asks for it in its turn; whoever lives elsewhere is told before.
      if (message.type === 'resume' && message.budget !== null && looking.live(run) === undefined) {
        // Where that cannot be seen here, its owner refuses what does not fit.
        const folded = await looking.fold(run).catch(() => undefined);
        await folded?.commands.mustBind(message.budget);
        await allotments.mayRaise(run, message.budget);
      }
      return runs.mail.say(run, message);
    },
    refuse: async (run, message, error) => {
      try {
        const live = runs.live(run);
        if (live !== undefined) return await live.commands.refuse(message, error);
        // Its owner refuses it, too.
        if (await looking.isOwned(run)) return void (await runs.mail.leave(run, message));
        const { open } = await runs.register.get(run);
        const about = { run, tenant: open?.tenant ?? null, about: message.type, error: asFailure(error) };
        await record({ type: 'refuse', by: message.by, ...about }, { journal, clock });
      } catch (failed) {
        report(failed, `run ${run}: recording that it has refused ${message.type} by ${message.by}`);
      }
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
