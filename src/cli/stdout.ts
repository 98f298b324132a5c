import type { ExitCode } from './exit.ts';

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
const unread = new Promise<void>((resolve) =>
  process.stdout.on('error', () => {
    gone = true;
    resolve();
  }),
);
/** Resolves when nobody reads stdout any more, as after `| head`. */
export const nobodyReads = (): Promise<void> => unread;

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
  write('', () =>
    process.stderr.write('', () => {
      leaving = true;
      process.exit(code);
    }),
  );
}
