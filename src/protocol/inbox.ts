import type { Failure } from './exit.ts';
import type { RunId } from './ids.ts';

/** Version of the format of inboxes. */
export const INBOX_VERSION = 1;

/** What others ask of a run. */
export type Message =
  | { type: 'send'; event: { type: string }; cause: string | null }
  /** A decision about a call in doubt, as the run's journal stood at `seen`: void when the call has begun since. */
  | {
      type: 'resolve';
      call: string;
      decision: { output: unknown } | { error: Failure } | { retry: true };
      seen: number;
    };

/** One message, as it is kept in the inbox of its run. `at` is in ms since the epoch, as its sender saw it. */
export interface Post {
  v: typeof INBOX_VERSION;
  run: RunId;
  /** 1, 2, 3 … without a gap; the run's journal names it as `inbox/<seq>`. */
  seq: number;
  at: number;
  message: Message;
}

const CAUSE = /^inbox\/(\d{1,15})$/;

export const causeOf = (post: Pick<Post, 'seq'>): string => `inbox/${post.seq}`;

/** The seq of the message that a cause names; 0 for any other cause. */
export const postOf = (cause: number | string | null): number =>
  typeof cause === 'string' ? Number(CAUSE.exec(cause)?.[1] ?? 0) : 0;
