import type { AnyMachineSnapshot } from 'xstate';
import { asFailure, toEvent } from '../../src/codec.ts';
import { RESOURCES } from '../../src/protocol/amount.ts';
import type { Beginning, Budget, Child, Entry } from '../../src/protocol/entry.ts';
import {
  InvalidStateTransitionError,
  StorageFullError,
  TroupeError,
  ValidationError,
} from '../../src/protocol/errors.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import { causeOf, postOf, type Message, type Post } from '../../src/protocol/inbox.ts';
import { allowedIn, illegal } from '../../src/protocol/lifecycle.ts';
import { decided } from '../approvals.ts';
import type { Calls } from '../calls.ts';
import type { Ack, Pump } from '../pump.ts';
import type { Said } from '../said.ts';
import { mustBind } from './binding.ts';
import type { RunPorts } from './ports.ts';
import type { DurableSystem } from '../system.ts';

/** Whose commands they are. */
interface Commanded {
  readonly id: RunId;
  readonly system: DurableSystem;
  readonly status: string;
  readonly beginning: Beginning;
  readonly openChildren: readonly Child[];
  readonly position: { readonly seq: number };
  /** Nothing begins here any more. */
  readonly stopped: boolean;
  /** What held it back may hold it no more. */
  goOn(): void;
}

/**
 * What is asked of a run, at a door or by its inbox.
 *
 * C1. A message of its inbox is taken once, and is on record then: what came of it, or that it was refused.
 * C2. One decision is asked for when the one before is delivered, so that it is judged by what holds then.
 * C3. What a larger budget draws of its tenant's is drawn once it is certain that the run takes it, and before it is on record.
 */
export class Commands {
  readonly #run: Commanded;
  readonly #pump: Pump;
  readonly #calls: Calls;
  readonly #ports: Pick<RunPorts, 'raise' | 'children'>;
  /** The last of its inbox that is in its journal, or on the way there. */
  #taken = 0;
  #pausing = false;
  #deciding: Promise<void> | undefined;

  constructor(run: Commanded, pump: Pump, calls: Calls, ports: Pick<RunPorts, 'raise' | 'children'>) {
    this.#run = run;
    this.#ports = ports;
    this.#pump = pump;
    this.#calls = calls;
  }

  /** The last message of its inbox that it has taken. */
  get taken(): number {
    return this.#taken;
  }

  /** A pause is on its way to the journal. */
  get pausing(): boolean {
    return this.#pausing;
  }

  note(entry: Entry): void {
    this.#taken = Math.max(this.#taken, postOf(entry.cause));
  }

  /** What a new beginning says of its inbox. */
  continueAfter(inbox: number): void {
    this.#taken = inbox;
  }

  /** A message from its inbox; one that it has taken before is not taken again. */
  async take(post: Post): Promise<void> {
    if (post.seq <= this.#taken || this.#run.stopped) return;
    this.#taken = post.seq;
    for (;;)
      try {
        await this.#obeyOrRefuse(post.message, causeOf(post));
        return;
      } catch (error) {
        // Its sender has been told that it is recorded: it waits for room, and those behind it wait with it.
        if (error instanceof StorageFullError && !this.#run.stopped) continue;
        // It was not taken, and is taken another time.
        this.#taken = post.seq - 1;
        throw error;
      }
  }

  /** What is refused is on record too: it is not looked at again. */
  async #obeyOrRefuse(message: Message, cause: string): Promise<void> {
    try {
      await this.obey(message, cause);
    } catch (error) {
      if ((error instanceof TroupeError && error.retryable) || this.#run.stopped) throw error;
      await this.refuse(message, error, cause);
    }
  }

  /** Resolves once it is recorded. */
  async refuse({ type, by }: Message, error: unknown, cause: string | null = null): Promise<void> {
    await this.#pump.send(
      { type: 'message.refused', target: 'run', event: { type, error: asFailure(error), by }, cause: null },
      cause,
    );
  }

  /**
   * What is asked of it by whom. Resolves once it is recorded. `cause`: its place in the inbox, if that is where it comes from.
   * @throws InvalidStateTransitionError, NotFoundError, NotAllowedError, ValidationError
   */
  async obey(message: Message, cause?: string): Promise<Ack> {
    const { by } = message;
    const record = (said: Said): Promise<Ack> => this.#pump.send(said, cause ?? null);
    switch (message.type) {
      case 'send': {
        const event = { event: toEvent(message.event), by };
        return this.#pump.send(
          { type: 'message.received', target: 'body', event, cause: null },
          cause ?? message.cause,
        );
      }
      case 'resolve': {
        // What lives here is looked at as it is now.
        const seen = cause === undefined ? this.#run.position.seq : message.seen;
        return this.#calls.doubts.resolve(message.call, message.decision, { by, cause: cause ?? null, seen });
      }
      case 'approve':
      case 'deny':
        return this.#inTurn(() => record(decided(this.#run.id, this.#run.system, message)));
      case 'pause':
        return this.#inTurn(async () => {
          this.#must('pause');
          this.#mustHaveLeft();
          // What asks from now on comes after it.
          this.#pausing = true;
          const event = { reason: message.reason, by };
          return record({ type: 'run.paused', target: 'run', event, cause: null }).finally(() => {
            this.#pausing = false;
            this.#run.goOn();
          });
        });
      case 'resume':
        return this.#inTurn(async () => {
          this.#must('resume');
          const resumed = (budget: Budget | null): Promise<Ack> =>
            record({ type: 'run.resumed', target: 'run', event: { by, budget }, cause: null });
          if (message.budget === null) return resumed(null);
          await this.mustBind(message.budget);
          this.#must('resume');
          return this.#raised(this.#larger(message.budget), resumed);
        });
      case 'checkpoint':
        return record({ type: 'checkpoint', target: 'run', event: { label: message.label, by }, cause: null });
      case 'childEnded':
        return this.#calls.children.ended(message.call, cause ?? null);
    }
  }

  /** Runs that it has begun and that are under way keep to these limits, too. @throws ValidationError */
  async mustBind(asked: Budget): Promise<void> {
    const { id, openChildren } = this.#run;
    const { children } = this.#ports;
    if (children === undefined || openChildren.length === 0) return;
    await mustBind(asked, { id, openChildren, gate: this.#calls.gate }, (child) => children.begun(child));
  }

  /** C3. */
  async #raised(asked: Budget, resumed: (budget: Budget) => Promise<Ack>): Promise<Ack> {
    const raised = await this.#ports.raise?.(this.#run.id, asked);
    // Meanwhile it may have ended.
    this.#must('resume');
    try {
      return await resumed(raised?.budget ?? asked);
    } catch (error) {
      if (error instanceof StorageFullError) await raised?.undo();
      throw error;
    }
  }

  /** C2. */
  #inTurn(decide: () => Promise<Ack>): Promise<Ack> {
    const decided = this.#deciding === undefined ? decide() : this.#deciding.then(decide);
    const settled = decided.then(
      () => {},
      () => {},
    );
    this.#deciding = settled;
    void settled.then(() => {
      if (this.#deciding === settled) this.#deciding = undefined;
    });
    return decided;
  }

  /** What is named replaces what it has. A run that works for a call holds no more than the call has reserved for it. @throws ValidationError */
  #larger(asked: Budget): Budget {
    const { id: run, beginning } = this.#run;
    const { parent, budget: begun } = beginning.event;
    const over = parent === null ? undefined : RESOURCES.find((one) => (asked[one] ?? 0) > (begun?.[one] ?? Infinity));
    if (over === undefined) return { ...this.#calls.gate.budget, ...asked };
    throw new ValidationError(
      `Run ${run} works for ${parent?.call} of run ${parent?.run}, which holds back ${begun?.[over]} ${over} for it: it cannot go on with ${asked[over]}. Resume it within that, or kill it and give its childRun a larger budget.`,
      { run, path: `budget.${over}`, limit: begun?.[over] },
    );
  }

  /** What comes of a spent budget is recorded before a pause could be, and none of that can be paused. @throws InvalidStateTransitionError */
  #mustHaveLeft(): void {
    const { id: run } = this.#run;
    if (this.#calls.exceeding)
      throw new InvalidStateTransitionError(
        `Run ${run} has spent its budget, and what comes of that is being recorded: look at its status, then pause it if it is still running.`,
        { run, state: 'running', event: 'pause', allowed: allowedIn('running').filter((one) => one !== 'pause') },
      );
  }

  /** @throws InvalidStateTransitionError */
  #must(command: 'pause' | 'resume'): void {
    const { id, system, status } = this.#run;
    const snapshot = system.root.getSnapshot() as AnyMachineSnapshot;
    if (!snapshot.can({ type: `troupe.${command}` })) throw illegal(id, status, command);
  }
}
