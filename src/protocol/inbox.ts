import type { Budget } from './entry.ts';
import type { Failure } from './exit.ts';
import type { RunId } from './ids.ts';

/** Version of the format of inboxes. */
export const INBOX_VERSION = 1;

/** What others ask of a run, and who. */
export type Message = { by: string } & (
  | { type: 'send'; event: { type: string }; cause: string | null }
  /** A decision about a call in doubt, as the run's journal stood at `seen`: void when the call has begun since. */
  | {
      type: 'resolve';
      call: string;
      decision: { output: unknown } | { error: Failure } | { retry: true };
      seen: number;
    }
  | { type: 'pause'; reason: string }
  /** `budget`: what it names is in place of what it has. */
  | { type: 'resume'; budget: Budget | null }
  /** `hash`: of what was shown to whoever decides. Void when the call is not that one. */
  | { type: 'approve'; call: string; hash: string }
  | { type: 'deny'; call: string; hash: string; reason: string }
  | { type: 'checkpoint'; label: string }
  /** Said by the owner of a child run: the run that this call began has ended. */
  | { type: 'childEnded'; call: string }
);

/** One message, as it is kept in the inbox of its run. `at` is in ms since the epoch, as its sender saw it. */
export interface Post<Said = Message> {
  v: typeof INBOX_VERSION;
  run: RunId;
  /** 1, 2, 3 … without a gap; the run's journal names it as `inbox/<seq>`. */
  seq: number;
  at: number;
  message: Said;
}

const CAUSE = /^inbox\/(\d{1,15})$/;

export const causeOf = (post: Pick<Post, 'seq'>): string => `inbox/${post.seq}`;

/** The seq of the message that a cause names; 0 for any other cause. */
export const postOf = (cause: number | string | null): number =>
  typeof cause === 'string' ? Number(CAUSE.exec(cause)?.[1] ?? 0) : 0;
