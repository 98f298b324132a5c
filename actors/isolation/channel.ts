import type { Duplex } from 'node:stream';
import { systemClock } from '../../src/clock.ts';
import { asFailure, decode, encodeBehind } from '../../src/codec.ts';
import { scan } from '../../src/scan.ts';
import { Gathered } from './gathered.ts';

/**
 * How a host and the process of an isolated call speak to each other: over a pipe, each message behind its length in four bytes and the
 * token of the call.
 *
 * C1. Messages are heard whole, in the order in which they were said.
 * C2. The pipe is not node's own channel: what a tool writes into that one is decoded in the host where nobody can catch what it throws.
 * C3. Nothing is unpacked before `scan` has passed it. Behind what is no message nothing is heard: nobody knows where the next one begins.
 * C4. The tool, and every library in it, can write to the same pipe: what is without the token is theirs, and is let go of as it arrives.
 * C5. One chunk is heard in a turn of the event loop: whoever says more than can be heard waits, not the host.
 */

/** The file descriptor that it is in the process of the call. */
export const CHANNEL = 3;

// The other side is a real process.
const clock = systemClock();

const LENGTH_BYTES = 4;

/** Of one message. `memory`: what it may take where it is unpacked. */
export type Limits = Readonly<{ bytes: number; memory: number; depth: number }>;

/** Twice what one value may have, which is the most that is said. */
export const HEARD_BY_TOOL: Limits = { bytes: 128 * 2 ** 20, memory: 512 * 2 ** 20, depth: 300 };
/** What one value may have, and a little. The longest text passes, which `scan` charges twice; so many small items do not that a host stands still. */
export const HEARD_BY_HOST: Limits = { bytes: 65 * 2 ** 20, memory: 130 * 2 ** 20, depth: 300 };

export interface Listener {
  hear(said: unknown): void;
  /** Nothing more is heard, and it was not closed here. `unreadable` says why, where the other side has not closed it either. */
  end(unreadable?: string): void;
}

/** What two sides have agreed on. */
export interface Agreed {
  token: string;
  hears: Limits;
  /** What the other side hears, where what is said may be more. */
  says?: Limits;
}

export class Channel {
  readonly #pipe: Duplex;
  readonly #listener: Listener;
  readonly #token: Buffer;
  readonly #hears: Limits;
  readonly #says: Limits | undefined;
  #part: 'length' | 'token' | 'message' = 'length';
  #gathered = new Gathered(LENGTH_BYTES);
  /** Bytes of the message that comes, without its length. */
  #length = 0;
  /** Bytes still to come that are not for us. */
  #foreign = 0;
  #isOpen = true;

  constructor(pipe: Duplex, { token, hears, says }: Agreed, listener: Listener) {
    this.#pipe = pipe;
    this.#listener = listener;
    this.#token = Buffer.from(token);
    this.#hears = hears;
    this.#says = says;
    pipe.on('data', (chunk: Buffer) => this.#take(chunk));
    // How it broke does not matter: it closes.
    pipe.on('error', () => {});
    pipe.on('close', () => this.#end());
  }

  /**
   * @param data what `toData` gave. @param left called when it is out of this process, or cannot be said any more
   * @throws ValidationError where the other side would not hear it
   */
  say(data: unknown, left?: () => void): void {
    const framed = encodeBehind(Buffer.concat([Buffer.alloc(LENGTH_BYTES), this.#token]), data);
    framed.writeUInt32BE(framed.length - LENGTH_BYTES);
    if (this.#says !== undefined) scan(framed.subarray(LENGTH_BYTES + this.#token.length), this.#says);
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
    // C5.
    this.#pipe.pause();
    clock.immediate(() => this.#pipe.resume());
    try {
      for (let at = 0; this.#isOpen && at < chunk.length;) at += this.#some(chunk.subarray(at));
    } catch (error) {
      this.#end(asFailure(error).message);
    }
  }

  /** How many of these bytes are done with. */
  #some(bytes: Buffer): number {
    if (this.#foreign > 0) {
      const passed = Math.min(bytes.length, this.#foreign);
      this.#foreign -= passed;
      return passed;
    }
    const taken = this.#gathered.take(bytes);
    const whole = this.#gathered.whole();
    if (whole !== undefined) this.#next(whole);
    return taken;
  }

  #next(part: Buffer): void {
    const behind = this.#length - this.#token.length;
    switch (this.#part) {
      case 'length':
        this.#length = this.#announced(part.readUInt32BE());
        if (this.#length <= this.#token.length) return this.#ignore(this.#length);
        return this.#await('token', this.#token.length);
      case 'token':
        return part.equals(this.#token) ? this.#await('message', behind) : this.#ignore(behind);
      case 'message':
        this.#await('length', LENGTH_BYTES);
        scan(part, this.#hears);
        this.#listener.hear(decode(part));
    }
  }

  #announced(length: number): number {
    const most = this.#hears.bytes + this.#token.length;
    if (length <= most) return length;
    throw new Error(`A message of ${length} bytes is announced, and it may have ${most}.`);
  }

  #await(part: 'length' | 'token' | 'message', bytes: number): void {
    this.#part = part;
    this.#gathered = new Gathered(bytes);
  }

  #ignore(bytes: number): void {
    this.#foreign = bytes;
    this.#await('length', LENGTH_BYTES);
  }
}
