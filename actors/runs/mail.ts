import type { Journal } from '../../src/backend.ts';
import type { Clock } from '../../src/clock.ts';
import { DefinitionChangedError, StaleOwnerError } from '../../src/protocol/errors.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import type { Message } from '../../src/protocol/inbox.ts';
import { post, take } from '../inbox.ts';
import { readEnd } from '../owner.ts';
import type { Ack } from '../pump.ts';
import type { Run } from '../run.ts';
import type { Creating } from './creating.ts';
import { AGAIN_MS, mayWorkLater } from './later.ts';
import type { Parked } from './parked.ts';
import { ended } from './refusals.ts';
import type { OpenRun, Register } from './register.ts';
import type { Signals } from './signals.ts';

export interface MailPorts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly report: (error: unknown, where: string) => void;
  readonly register: Pick<Register, 'get'>;
  readonly signals: Pick<Signals, 'inbox'>;
  readonly live: ReadonlyMap<RunId, Run>;
  readonly parked: Pick<Parked, 'has'>;
  readonly creating: Pick<Creating, 'of'>;
  closed(): boolean;
  /** It is being parked. */
  isLeaving(run: RunId): boolean;
  adopt(run: RunId): Promise<Run>;
  wake(run: RunId): void;
}

/** What is said to runs, wherever they live, and what those that live here have in their inboxes. */
export class Mail {
  readonly #ports: MailPorts;
  readonly #reading = new Map<RunId, Promise<void>>();
  /** The next look at what could not be read. */
  readonly #again = new Map<RunId, Promise<void>>();
  readonly #posting = new Map<RunId, Promise<unknown>>();

  constructor(ports: MailPorts) {
    this.#ports = ports;
  }

  /** To a run wherever it lives: into its own journal here, into its inbox elsewhere. */
  async say(run: RunId, message: Message): Promise<Ack> {
    const { live, journal } = this.#ports;
    for (;;) {
      const adopted = await this.#ports.adopt(run).catch((error: unknown) => {
        if (error instanceof StaleOwnerError || error instanceof DefinitionChangedError) return undefined;
        throw error;
      });
      if (adopted === undefined) break;
      // What is in its inbox already comes before.
      await (this.#again.has(run) ? this.read(run) : this.#reading.get(run));
      if (this.#again.has(run)) break;
      // It may have been parked meanwhile.
      if (live.get(run) === adopted) return adopted.commands.obey(message);
    }
    const end = await readEnd(journal, run);
    if (end !== undefined) throw ended(run, end.type.slice('run.'.length), message.type);
    return this.leave(run, message);
  }

  /** Into its inbox: whoever owns it then takes it. */
  async leave(run: RunId, message: Message): Promise<Ack> {
    const ack = await this.#post(run, message);
    await this.notify(run);
    return ack;
  }

  /** A child has ended. */
  async tellParent(child: RunId, { run, call }: NonNullable<OpenRun['parent']>): Promise<void> {
    const { live, journal, parked } = this.#ports;
    // Its call waits here for the child's end, or looks for it once it is awake.
    if (live.has(run) && !this.#ports.isLeaving(run)) return;
    if ((await readEnd(journal, run)) !== undefined) return;
    // On record also where it rests here: whoever takes it over then sees that it does not rest any more.
    await this.#post(run, { type: 'childEnded', call, by: child });
    if (parked.has(run)) this.#ports.wake(run);
    // It may have been taken over since it began to rest here.
    await this.notify(run);
  }

  /** Its inbox has grown, somebody says. */
  async heard(run: RunId): Promise<void> {
    const { live, parked, creating } = this.#ports;
    const begins = creating.of(run);
    if (begins !== undefined) {
      await begins;
      return this.heard(run);
    }
    if (live.has(run)) return this.read(run);
    if (parked.has(run)) this.#ports.wake(run);
  }

  /** One reader for each run; a signal that comes while one reads is followed by another look. */
  read(id: RunId): Promise<void> {
    const { live } = this.#ports;
    const before = this.#reading.get(id) ?? Promise.resolve();
    const next = before
      .then(() => {
        const run = live.get(id);
        return run === undefined ? undefined : take(run, this.#ports);
      })
      .then(
        () => void this.#again.delete(id),
        (error: unknown) => this.#notRead(id, error),
      )
      .finally(() => {
        if (this.#reading.get(id) === next) this.#reading.delete(id);
      });
    this.#reading.set(id, next);
    return next;
  }

  /** As `read`, until it could be. */
  async catchUp(id: RunId): Promise<void> {
    await this.read(id);
    for (let again = this.#again.get(id); again !== undefined; again = this.#again.get(id)) await again;
  }

  /** What may work later is tried again: nobody signals it a second time. */
  #notRead(run: RunId, error: unknown): void {
    const { report, clock, live } = this.#ports;
    report(error, `run ${run}: reading its inbox`);
    this.#again.delete(run);
    if (!mayWorkLater(error)) return;
    const again = new Promise<void>((resolve) => void clock.setTimeout(resolve, AGAIN_MS, live.has(run))).then(() => {
      if (this.#again.get(run) !== again) return;
      this.#again.delete(run);
      return this.#ports.closed() ? undefined : this.heard(run);
    });
    this.#again.set(run, again);
  }

  /** A message may be on its way from its inbox. */
  reads(run: RunId): boolean {
    return this.#reading.has(run);
  }

  /** One after another: those of one process need not race each other for the next place. */
  #post(run: RunId, message: Message): Promise<Ack> {
    const before = this.#posting.get(run) ?? Promise.resolve();
    const next = before.catch(() => {}).then(() => post(run, message, this.#ports));
    this.#posting.set(run, next);
    const last = (): void => {
      if (this.#posting.get(run) === next) this.#posting.delete(run);
    };
    next.then(last, last);
    return next;
  }

  /** Its inbox has grown, or is to be looked at. */
  async notify(run: RunId): Promise<void> {
    const { register, signals } = this.#ports;
    const { open } = await register.get(run);
    if (open !== undefined) await signals.inbox(open.tenant, run);
  }
}
