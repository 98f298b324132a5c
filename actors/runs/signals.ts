import type { Bus } from '../../src/backend.ts';
import type { Clock } from '../../src/clock.ts';
import { UnreachableError, ValidationError } from '../../src/protocol/errors.ts';
import { ownerId, type OwnerId, type RunId, type TenantId } from '../../src/protocol/ids.ts';
import type { StoppedActor } from '../../src/protocol/receipt.ts';
import {
  ALL_INBOXES,
  ALL_KILLS,
  inboxSubject,
  killSubject,
  parseSubject,
  type Subject,
} from '../../src/protocol/subject.ts';
import { insist, isRetryable } from './later.ts';

/** `owner`: the one it is registered with. */
export interface Killed {
  owner: OwnerId;
  graceMs: number;
}

/** O4. What owners tell each other about runs (a message has come, it was killed), after it is recorded. All of it is a hint. */
export interface Heard {
  /** Its inbox has grown. */
  inbox(run: RunId): void;
  /** It was killed. What stopped here, once it has; undefined: it does not live here, nor did it. */
  kill(run: RunId, about: Killed): Promise<readonly StoppedActor[] | undefined>;
  /** Any of that may have been missed. */
  missed(): void;
}

/** For an answer to come back, besides the grace period. */
const ANSWER_MS = 1_000;
const CLOSE_MS = 5_000;
/** An answer has to fit in one message. */
const MAX_STOPPED = 2_000;

// With its schema comes zod, which a process that never speaks to another need not load.
const frame = () => import('../../src/frame.ts');

export class Signals {
  readonly #ports: { bus: Bus; owner: OwnerId; clock: Clock };
  readonly #end: (() => void)[];
  readonly #report: (error: unknown, where: string) => void;
  /** Answers that are not given yet. */
  readonly #answering = new Set<Promise<void>>();
  #said = 0;
  #closed = false;

  constructor(
    ports: { bus: Bus; owner: OwnerId; clock: Clock },
    heard: Heard,
    report: (error: unknown, where: string) => void,
  ) {
    this.#ports = ports;
    this.#report = report;
    const { bus } = ports;
    const refused = (subject: Subject) => (error: unknown) => report(error, `a message on ${subject} was refused`);
    this.#end = [
      bus.subscribe(ALL_INBOXES, {
        message: (payload, subject) => {
          this.#read(payload, subject).then(({ run }) => heard.inbox(run), refused(subject));
        },
        missed: () => heard.missed(),
      }),
      bus.subscribe(ALL_KILLS, {
        message: (payload, subject, reply) => {
          const answering = this.#killed(payload, subject, heard, reply).catch(refused(subject));
          this.#answering.add(answering);
          void answering.finally(() => this.#answering.delete(answering));
        },
        missed: () => heard.missed(),
      }),
    ];
  }

  inbox(tenant: TenantId, run: RunId): Promise<void> {
    return this.#envelope(tenant, 'troupe.inbox.grown').then((said) =>
      this.#ports.bus.publish(inboxSubject(tenant, run), said),
    );
  }

  /** What has stopped where it lives. Undefined: nobody has said so in time; where it could not be told, that is tried again behind it. */
  async kill(tenant: TenantId, run: RunId, about: Killed): Promise<readonly StoppedActor[] | undefined> {
    const what = `run ${run}: telling its process that it was killed`;
    try {
      return await this.#tellKilled(tenant, run, about);
    } catch (error) {
      this.#report(error, what);
      if (!isRetryable(error)) return undefined;
    }
    const ports = { clock: this.#ports.clock, report: this.#report, closed: () => this.#closed };
    insist(what, ports, async () => void (await this.#tellKilled(tenant, run, { ...about, graceMs: 0 }))).catch(
      (error: unknown) => this.#report(error, what),
    );
    return undefined;
  }

  async #tellKilled(tenant: TenantId, run: RunId, about: Killed): Promise<readonly StoppedActor[] | undefined> {
    const said = await this.#envelope(tenant, 'troupe.run.killed', about);
    const timeoutMs = about.graceMs + ANSWER_MS;
    try {
      const answer = await this.#ports.bus.request(killSubject(tenant, run), said, { timeoutMs });
      const { decodeEnvelope } = await frame();
      return (decodeEnvelope(answer).data as { stopped: StoppedActor[] }).stopped;
    } catch (error) {
      if (error instanceof UnreachableError) return undefined;
      throw error;
    }
  }

  /** Nothing more is heard; resolves once those who were heard have their answer. What they wait for is not waited for longer than 5 s here. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const end of this.#end) end();
    if (this.#answering.size === 0) return;
    const { clock } = this.#ports;
    let timer: unknown;
    const late = new Promise<void>((resolve) => (timer = clock.setTimeout(resolve, CLOSE_MS)));
    await Promise.race([Promise.all(Array.from(this.#answering)), late]);
    clock.clearTimeout(timer);
  }

  async #killed(
    payload: Uint8Array,
    subject: Subject,
    heard: Heard,
    reply: ((payload: Uint8Array) => void) | undefined,
  ): Promise<void> {
    const { run, tenant, data } = await this.#read(payload, subject);
    const stopped = await heard.kill(run, checkedKilled(data));
    if (stopped === undefined || reply === undefined) return;
    // As many as fit, first of all what has not stopped; that the others have is told in any case.
    const worst = stopped.toSorted((a, b) => Number(b.ms === null) - Number(a.ms === null));
    for (let many = MAX_STOPPED; ; many >>= 1) {
      const told = new Set(worst.slice(0, many));
      try {
        return reply(
          await this.#envelope(tenant, 'troupe.run.stopped', { stopped: stopped.filter((one) => told.has(one)) }),
        );
      } catch (error) {
        if (told.size === 0) throw error;
      }
    }
  }

  /** @throws ValidationError */
  async #read(payload: Uint8Array, subject: Subject): Promise<{ run: RunId; tenant: TenantId; data: unknown }> {
    const { decodeEnvelope } = await frame();
    const { tenant, data = {} } = decodeEnvelope(payload);
    const about = parseSubject(subject);
    if (about?.tenant === tenant) return { run: about.run, tenant, data };
    throw new ValidationError(`An envelope of tenant ${tenant} came on ${subject}.`, { subject, tenant });
  }

  async #envelope(tenant: TenantId, type: string, data?: unknown): Promise<Uint8Array> {
    const { owner, clock } = this.#ports;
    const { encodeEnvelope } = await frame();
    const id = `${owner}-${(this.#said += 1)}`;
    const time = new Date(clock.now()).toISOString();
    return encodeEnvelope({ v: 1, id, source: owner, type, time, tenant, ...(data !== undefined && { data }) });
  }
}

/** @throws ValidationError */
function checkedKilled(data: unknown): Killed {
  const { owner, graceMs } = data as { owner?: unknown; graceMs?: unknown };
  if (typeof graceMs === 'number' && graceMs >= 0) return { owner: ownerId(owner), graceMs };
  throw new ValidationError('A kill is told with its owner and graceMs, from 0.', { graceMs });
}
