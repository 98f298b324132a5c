import type { AnyActorRef } from 'xstate';
import type { Level } from './backend.ts';
import type { Read } from './chain.ts';
import type { Duration } from './protocol/duration.ts';
import type { Entry, EntryOf } from './protocol/entry.ts';
import type { RunId } from './protocol/ids.ts';
import type { Message } from './protocol/inbox.ts';
import type { KilledRun, Receipt } from './protocol/receipt.ts';
import type { Approval } from './protocol/spec.ts';
import type { Summary } from './summary.ts';

/** What a run's handle takes and gives, and what it stands on. */

export interface Asking {
  /** Who asks; `principal` of the troupe by default. */
  by?: string;
}

export interface KillOptions extends Asking {
  /** How long calls may take to end once they are told to; `'5s'` by default. Then those in processes of their own are ended. */
  grace?: Duration;
}

/** A decision about a call whose outcome nobody knows. `output`: what the call would have given, which is what its output schema makes. */
export type Decision = { output: unknown } | { error: unknown } | { retry: true };

export interface CallInDoubt {
  run: RunId;
  call: string;
  /** What it was called with. */
  input: unknown;
}

/** What waits for somebody to decide, and for when, as the run's journal stands at entry `seen`. */
export interface Pending {
  inDoubt: CallInDoubt[];
  approvals: readonly Approval[];
  /** When its next timer is due, in ms since the epoch; null: it has none. */
  due: number | null;
  seen: number;
}

/** What a kill of one run came to: of the run itself, and of all that it had begun (`runs`). */
export type RunReceipt = Receipt & KilledRun;

export interface Ack {
  seq: number;
  level: Level;
}

/** A run that lives in this process, as far as a handle needs it. */
export interface LiveRun {
  readonly status: string;
  /** Undefined when it was not folded from its first entry. */
  readonly summary: Summary | undefined;
  readonly bodyActor: AnyActorRef | undefined;
  /** `parked`: it has left memory; what it was is of yesterday. */
  readonly ending: { readonly parked: boolean };
  readonly watchers: {
    observe(observer: (entry: Entry) => void): () => void;
    look(subscribe: (body: AnyActorRef) => { unsubscribe(): void }): () => void;
  };
  readonly rest: { hold(): () => void; whenWaiting(): Promise<void> };
  readonly ended: Promise<EntryOf<'run.completed' | 'run.failed' | 'run.killed'>>;
}

export interface HandlePorts {
  /** What follows the entry that was read last, each with its hash. */
  entries(run: RunId, after?: Read): AsyncIterable<{ entry: Entry; hash: Uint8Array }>;
  live(run: RunId): LiveRun | undefined;
  /** Brings a run that rests in this process back to memory; undefined where it does not. */
  wake(run: RunId): Promise<LiveRun> | undefined;
  /** It rests in this process, and nothing but a message or a decision can move it. */
  waits(run: RunId): boolean;
  /** Who asks, where nobody is named. */
  readonly principal: string;
  /** To the run here, brought here if nobody alive owns it; otherwise into its inbox. */
  say(run: RunId, message: Message): Promise<Ack>;
  /** It was asked for and is not done: on record, wherever the run lives, which is not taken over for that. Never rejects. */
  refuse(run: RunId, message: Message, error: unknown): Promise<void>;
  pending(run: RunId): Promise<Pending>;
  /** Tells when its journal may have grown. */
  watch(run: RunId, changed: () => void): () => void;
  kill(run: RunId, reason: string, options: KillOptions): Promise<RunReceipt>;
  report(error: unknown, where: string): void;
  closed(): boolean;
}
