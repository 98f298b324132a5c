import { spawn } from 'node:child_process';
import { pbkdf2Sync } from 'node:crypto';
import { writeFileSync, writeSync } from 'node:fs';
import type { ToolContext } from 'troupe';
import { encodeBehind, toData } from '../../../src/codec.ts';

/** What an isolated tool of the tests does, and what it needs for it. */
export type Deed =
  | { do: 'answer'; with: unknown }
  /** What cannot be kept. */
  | { do: 'map' }
  | { do: 'throw'; message: string; status?: number }
  /** Says what it was given. */
  | { do: 'show'; variables: readonly string[] }
  | { do: 'exit'; code: number; says?: string }
  | { do: 'crash' }
  /** `regardless`: goes on when it is refused. */
  | { do: 'charge'; usd: number; times: number; regardless?: true }
  /** Sends this to its parent, past Troupe, before it answers. */
  | { do: 'send'; message: object; with: unknown }
  /** Writes these bytes into the pipe by which its answer comes, leaves a daemon behind, and stays. `signed`: as a message of its call. */
  | { do: 'scribble'; bytes: Uint8Array; signed?: boolean }
  /** Gives few bytes that take much memory once they are unpacked: 48 KiB for each. */
  | { do: 'swell'; many: number }
  /** Until it is told to end; then it gives `tidied`. */
  | { do: 'wait'; told?: string }
  /** Ignores all it is told, and stays. */
  | { do: 'ignore' }
  /** Leaves a daemon of a session of its own behind, which ignores SIGTERM, and gives its number. */
  | { do: 'daemon'; next?: 'ignore' }
  | { do: 'print'; bytes: number; next?: 'throw' | 'ignore' }
  | { do: 'block'; in: 'loop' | 'native' }
  /** Ignores all it is told, leaves a daemon behind, prints a gigabyte, and blocks in native code. */
  | { do: 'worst' }
  | { do: 'hold'; what: 'heap' | 'buffers' | 'child' };

const never = (): Promise<never> => new Promise(() => void setInterval(() => {}, 1_000));
const CHANNEL = 3;
const CHUNK = Buffer.alloc(1 << 20, 'x');

/** `marks`: a file that is told the number of each of its processes. */
export default async function execute(input: { deed: Deed; marks?: string }, context: ToolContext): Promise<unknown> {
  const { deed } = input;
  const mark = (pid: number | undefined): void => {
    if (input.marks !== undefined) writeFileSync(input.marks, `${pid}\n`, { flag: 'a' });
  };
  mark(process.pid);
  switch (deed.do) {
    case 'answer':
      return deed.with;
    case 'map':
      return { at: new Map() };
    case 'throw':
      throw Object.assign(new Error(deed.message), { status: deed.status });
    case 'show': {
      const { run, call, attempt, idempotencyKey } = context;
      const env = Object.fromEntries(deed.variables.map((name) => [name, process.env[name] ?? null]));
      return { run, call, attempt, idempotencyKey, env, pid: process.pid };
    }
    case 'exit':
      if (deed.says !== undefined) writeSync(2, deed.says);
      return process.exit(deed.code);
    case 'crash':
      setTimeout(() => {
        throw new Error('nobody catches this');
      });
      return never();
    case 'charge':
      for (let time = 0; time < deed.times; time += 1) {
        try {
          context.charge({ usd: deed.usd });
        } catch (error) {
          if (deed.regardless !== true) throw error;
        }
        await new Promise((resolve) => void setTimeout(resolve, 50));
      }
      return 'charged';
    case 'send':
      // By the channel that node gives to its children, where there is one, too.
      process.send?.(deed.message);
      writeSync(CHANNEL, message(deed.message));
      return deed.with;
    case 'scribble':
      mark(await daemon());
      writeSync(CHANNEL, deed.signed === true ? signed(deed.bytes) : deed.bytes);
      return never();
    case 'swell':
      return Array.from({ length: deed.many }, () => ({ 4095: null }));
    case 'wait':
      await new Promise((resolve) => {
        context.signal.addEventListener('abort', resolve);
        setInterval(() => {}, 1_000);
      });
      if (deed.told !== undefined) writeFileSync(deed.told, 'told');
      return 'tidied';
    case 'ignore':
      process.on('SIGTERM', () => {});
      return never();
    case 'daemon': {
      const pid = await daemon();
      mark(pid);
      return deed.next === 'ignore' ? never() : pid;
    }
    case 'print':
      print(deed.bytes);
      if (deed.next === 'throw') throw new Error('that was it');
      return deed.next === 'ignore' ? never() : 'printed';
    case 'block':
      return deed.in === 'native' ? blockInNativeCode() : blockInLoop();
    case 'worst':
      process.on('SIGTERM', () => {});
      mark(await daemon());
      print(2 ** 30);
      return blockInNativeCode();
    case 'hold':
      return hold(deed.what, mark);
  }
}

function message(said: object): Buffer {
  const framed = encodeBehind(Buffer.alloc(4), toData(said));
  framed.writeUInt32BE(framed.length - 4);
  return framed;
}

function signed(bytes: Uint8Array): Buffer {
  const token = Buffer.from(process.env['TROUPE_CALL'] ?? '');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(token.length + bytes.length);
  return Buffer.concat([length, token, bytes]);
}

const blockInNativeCode = (): number => pbkdf2Sync('a', 'b', 2 ** 31 - 1, 64, 'sha512').length;

function blockInLoop(): never {
  for (;;);
}

function print(bytes: number): void {
  for (let left = bytes; left > 0; left -= CHUNK.length) write(CHUNK.subarray(0, left));
}

/** All of it, whatever the pipe takes at once. */
function write(chunk: Buffer): void {
  for (let at = 0; at < chunk.length;) {
    try {
      at += writeSync(1, chunk, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

/** Twice away from its parent, and in a session of its own. */
async function daemon(): Promise<number> {
  const script = `trap '' TERM HUP; setsid sh -c 'trap "" TERM HUP; echo $$; exec sleep 600 1>&-' &`;
  const parent = spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  let said = '';
  for await (const text of parent.stdout) said += String(text);
  return Number(said);
}

async function hold(what: 'heap' | 'buffers' | 'child', mark: (pid: number | undefined) => void): Promise<never> {
  if (what === 'child') {
    const child = spawn(
      process.execPath,
      ['-e', 'const all = []; setInterval(() => all.push(Buffer.alloc(1 << 24, 1)), 5)'],
      {
        stdio: 'ignore',
      },
    );
    mark(child.pid);
    return never();
  }
  const all: unknown[] = [];
  for (;;) {
    all.push(what === 'heap' ? Array.from({ length: 100_000 }, (_, n) => ({ n })) : Buffer.alloc(1 << 24, 1));
    await new Promise((resolve) => void setTimeout(resolve, 5));
  }
}
