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
