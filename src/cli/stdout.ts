import { fstatSync, writeSync } from 'node:fs';
import { EXIT, type ExitCode } from './exit.ts';

const STDOUT = 1;

// Node takes a write to a file for whole that a full disk has cut short.
if (isFile())
  process.stdout._write = (chunk: Uint8Array, _encoding, done): void => {
    try {
      for (let written = 0; written < chunk.length;) written += writeSync(STDOUT, chunk, written);
      done();
    } catch (error) {
      done(error as Error);
    }
  };

function isFile(): boolean {
  try {
    return fstatSync(STDOUT).isFile();
  } catch {
    return false;
  }
}

const write = process.stdout.write.bind(process.stdout);
let reserved = false;
let answered = false;

/** From here on stdout carries the result alone: what consoles and tools print goes to stderr. */
export function reserve(): void {
  if (reserved) return;
  reserved = true;
  process.stdout.write = process.stderr.write.bind(process.stderr);
}

/** The result: the first that is given, and no other. */
export function answer(text: string): void {
  if (answered) return;
  answered = true;
  write(`${text}\n`);
}

let gone = false;
/** Why stdout does not have all that was written, where somebody would have read it. */
let unwritten: NodeJS.ErrnoException | undefined;
const broken = new Promise<ExitCode>((resolve) =>
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    gone = true;
    if (error.code !== 'EPIPE') unwritten ??= error;
    resolve(unwritten === undefined ? EXIT.completed : EXIT.failed);
  }),
);
/** Resolves when nobody reads stdout any more, as after `| head`, or it cannot be written: what a command that does nothing else ends with. */
export const nobodyReads = (): Promise<ExitCode> => broken;

/** A line of a result that is a list; resolves once there is room for the next. */
export function line(text: string): Promise<void> | undefined {
  if (gone || write(`${text}\n`)) return undefined;
  const { stdout } = process;
  return new Promise((resolve) => {
    const go = (): void => {
      stdout.off('drain', go).off('error', go);
      resolve();
    };
    stdout.on('drain', go).on('error', go);
  });
}

let leaving = false;
export const isLeaving = (): boolean => leaving;

/** Ends the process, whatever a tool has left running, once what was written is out. */
export function leave(code: ExitCode): void {
  const exit = (): void => {
    leaving = true;
    process.exit(unwritten !== undefined && code === EXIT.completed ? EXIT.failed : code);
  };
  const last = (): void => {
    const { code: why, message } = unwritten ?? {};
    process.stderr.write(unwritten === undefined ? '' : `troupe: ${why}: stdout is not whole: ${message}\n`, exit);
  };
  // What has failed is told a little later than that it has.
  write('', (error) => (error == null ? last() : void broken.then(last)));
}
