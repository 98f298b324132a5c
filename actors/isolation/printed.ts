import type { Failure } from '../../src/protocol/exit.ts';
import type { Launched } from './launch.ts';

const LAST_LINES = 10;
const LONGEST_LINES = 1_000;

/** What a process writes to its output and its errors: of each the end is kept, the rest counted and let go of. */
export class Printed {
  readonly #child: Launched;
  readonly #out: Tail;
  readonly #err: Tail;

  constructor(child: Launched, keptBytes: number) {
    this.#child = child;
    this.#out = new Tail(Math.ceil(keptBytes / 2));
    this.#err = new Tail(Math.floor(keptBytes / 2));
    child.stdout.on('data', (chunk: Buffer) => this.#out.add(chunk));
    child.stderr.on('data', (chunk: Buffer) => this.#err.add(chunk));
    // What could not be read is not there.
    for (const stream of [child.stdout, child.stderr]) stream.on('error', () => {});
  }

  get stderr(): string {
    return this.#err.text();
  }

  /** As an error carries it: nothing of what is not there. */
  said(): { stdout?: string; stderr?: string; discardedBytes?: number } {
    const [stdout, stderr] = [this.#out.text(), this.#err.text()];
    const discardedBytes = this.#out.discarded + this.#err.discarded;
    return {
      ...(stdout !== '' && { stdout }),
      ...(stderr !== '' && { stderr }),
      ...(discardedBytes > 0 && { discardedBytes }),
    };
  }

  /** An error that the tool has thrown, with what it printed. */
  on(failure: Failure): Failure {
    const said = this.said();
    const { data = {} } = failure;
    const isPlain = typeof data === 'object' && data !== null && Object.getPrototypeOf(data) === Object.prototype;
    return Object.keys(said).length === 0 || !isPlain ? failure : { ...failure, data: { ...said, ...data } };
  }

  /** For the end of a sentence. */
  lastWords(): string {
    const lines = this.stderr.trimEnd().split('\n').slice(-LAST_LINES).join('\n').slice(-LONGEST_LINES);
    return lines === '' ? '.' : `; it wrote last:\n${lines}`;
  }

  /** Reads no more; somebody may hold the other end. */
  close(): void {
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
  }
}

/** The last bytes of a stream. */
class Tail {
  readonly #most: number;
  #chunks: Buffer[] = [];
  #held = 0;
  /** Bytes that are not kept. */
  discarded = 0;

  constructor(most: number) {
    this.#most = most;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    for (let first = this.#chunks[0]; first !== undefined && this.#held > this.#most; first = this.#chunks[0]) {
      const over = Math.min(first.length, this.#held - this.#most);
      this.#held -= over;
      this.discarded += over;
      if (over === first.length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(over);
    }
  }

  /** A character may have been cut at its beginning. */
  text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }
}
