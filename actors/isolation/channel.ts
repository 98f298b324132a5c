import type { Duplex } from 'node:stream';
import { asFailure, decode, encodeBehind } from '../../src/codec.ts';
import { scan } from '../../src/scan.ts';

/**
 * How a host and the process of an isolated call speak to each other: over a pipe, each message behind its length in four bytes.
 *
 * C1. Messages are heard whole, in the order in which they were said.
 * C2. The pipe is not node's own channel: what a tool writes into that one is decoded in the host where nobody can catch what it throws.
 * C3. Nothing is unpacked before `scan` has passed it. Behind what is no message nothing is heard: nobody knows where the next one begins.
 */

/** The file descriptor that it is in the process of the call. */
export const CHANNEL = 3;

const LENGTH_BYTES = 4;
/** Twice what one value may have, which is the most that is said. The memory is what it may take here once it is unpacked. */
const LIMITS = { bytes: 128 * 2 ** 20, memory: 512 * 2 ** 20, depth: 300 };

export interface Listener {
  hear(said: unknown): void;
  /** Nothing more is heard, and it was not closed here. `unreadable` says why, where the other side has not closed it either. */
  end(unreadable?: string): void;
}

export class Channel {
  readonly #pipe: Duplex;
  readonly #listener: Listener;
  #chunks: Buffer[] = [];
  #held = 0;
  /** Bytes to the end of the length, or of the message, that comes next. */
  #wanted = LENGTH_BYTES;
  #isOpen = true;

  constructor(pipe: Duplex, listener: Listener) {
    this.#pipe = pipe;
    this.#listener = listener;
    pipe.on('data', (chunk: Buffer) => this.#take(chunk));
    // How it broke does not matter: it closes.
    pipe.on('error', () => {});
    pipe.on('close', () => this.#end());
  }

  /** @param data what `toData` gave. @param left called when it is out of this process, or cannot be said any more */
  say(data: unknown, left?: () => void): void {
    const framed = encodeBehind(Buffer.alloc(LENGTH_BYTES), data);
    framed.writeUInt32BE(framed.length - LENGTH_BYTES);
    this.#pipe.write(framed, () => left?.());
  }

  close(): void {
    this.#isOpen = false;
    this.#pipe.destroy();
  }

  #end(unreadable?: string): void {
    if (!this.#isOpen) return;
    this.close();
    this.#listener.end(unreadable);
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    try {
      while (this.#isOpen && this.#held >= this.#wanted) this.#next();
    } catch (error) {
      this.#end(asFailure(error).message);
    }
  }

  #next(): void {
    const [first] = this.#chunks;
    const all = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    this.#chunks = [all];
    if (this.#wanted === LENGTH_BYTES) {
      const length = all.readUInt32BE();
      if (length > LIMITS.bytes)
        throw new Error(`A message of ${length} bytes is announced, and it may have ${LIMITS.bytes}.`);
      this.#wanted += length;
      if (this.#held < this.#wanted) return;
    }
    const [message, rest] = [all.subarray(LENGTH_BYTES, this.#wanted), all.subarray(this.#wanted)];
    this.#chunks = [rest];
    this.#held = rest.length;
    this.#wanted = LENGTH_BYTES;
    scan(message, LIMITS);
    this.#listener.hear(decode(message));
  }
}
