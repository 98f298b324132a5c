import type { Bus } from '../src/backend.ts';
import type { Clock } from '../src/clock.ts';
import { ValidationError } from '../src/protocol/errors.ts';
import type { OwnerId, RunId, TenantId } from '../src/protocol/ids.ts';
import { inboxSubject, killSubject, parseSubject, subjectPattern, type Subject } from '../src/protocol/subject.ts';

/** What owners tell each other about runs, after it is recorded. All of it is a hint. */
export interface Heard {
  /** Its inbox has grown. */
  inbox(run: RunId): void;
  /** It was killed. */
  kill(run: RunId): void;
  /** Any of that may have been missed. */
  missed(): void;
}

// With its schema comes zod, which a process that never speaks to another need not load.
const frame = () => import('../src/frame.ts');

export class Signals {
  readonly #ports: { bus: Bus; tenant: TenantId; owner: OwnerId; clock: Clock };
  readonly #end: (() => void)[];
  #said = 0;

  constructor(
    ports: { bus: Bus; tenant: TenantId; owner: OwnerId; clock: Clock },
    heard: Heard,
    report: (error: unknown, where: string) => void,
  ) {
    this.#ports = ports;
    const { bus, tenant } = ports;
    this.#end = (['inbox', 'kill'] as const).map((kind) =>
      bus.subscribe(subjectPattern({ tenant, kind }), {
        message: (payload, subject) => {
          const refused = (error: unknown): void => report(error, `a message on ${subject} was refused`);
          this.#read(payload, subject).then((run) => heard[kind](run), refused);
        },
        missed: () => heard.missed(),
      }),
    );
  }

  inbox(run: RunId): Promise<void> {
    return this.#say(inboxSubject(this.#ports.tenant, run), 'troupe.inbox.grown');
  }

  kill(run: RunId): Promise<void> {
    return this.#say(killSubject(this.#ports.tenant, run), 'troupe.run.killed');
  }

  close(): void {
    for (const end of this.#end) end();
  }

  /** @throws ValidationError */
  async #read(payload: Uint8Array, subject: Subject): Promise<RunId> {
    const { decodeEnvelope } = await frame();
    const { tenant } = decodeEnvelope(payload);
    const about = parseSubject(subject);
    if (about?.tenant === tenant) return about.run;
    throw new ValidationError(`An envelope of tenant ${tenant} came on ${subject}.`, { subject, tenant });
  }

  async #say(subject: Subject, type: string): Promise<void> {
    const { bus, tenant, owner, clock } = this.#ports;
    const { encodeEnvelope } = await frame();
    const id = `${owner}-${(this.#said += 1)}`;
    const time = new Date(clock.now()).toISOString();
    await bus.publish(subject, encodeEnvelope({ v: 1, id, source: owner, type, time, tenant }));
  }
}
