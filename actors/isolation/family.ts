import { readdirSync, readFileSync } from 'node:fs';

/**
 * The processes of one isolated call, as Linux knows them; elsewhere there is no `/proc`, and a family has no members.
 *
 * F1. A member is one that is in the first process's group or session, descends from a member, or carries the mark in the environment it began
 *     with; and who was a member once stays one. So a daemon is one, whose parents are gone and whose session is its own.
 * F2. Nobody is a member who began before the first process did: a number that was used before is not mistaken for one of ours.
 * F3. Who could not be looked at for want of a file descriptor is not taken for gone.
 */

/** Names the variable that carries the mark. */
export const MARK = 'TROUPE_CALL';

interface Living {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** In ticks since the machine has started. */
  readonly began: number;
}

export class Family {
  readonly #first: number;
  readonly #mark: string;
  #since: number | undefined;
  /** When each began. */
  readonly #members = new Map<number, number>();

  constructor(first: number, mark: string) {
    this.#first = first;
    this.#mark = `${MARK}=${mark}`;
    try {
      this.#since = statOf(first)?.began;
    } catch {
      // Asked again by the first that has to know.
    }
  }

  /** Those of all that live now. */
  members(all = everybody()): number[] {
    this.#since ??= statOf(this.#first)?.began;
    const since = this.#since;
    // It was gone before it could be seen; its mark still tells.
    const younger = all.filter(({ began }) => since === undefined || began >= since);
    const found = new Set<number>();
    for (let before = -1; before < found.size;) {
      before = found.size;
      for (const one of younger) {
        if (found.has(one.pid) || !this.#isMember(one, found)) continue;
        found.add(one.pid);
        this.#members.set(one.pid, one.began);
      }
    }
    return [...found];
  }

  /** Memory that its members hold now, in bytes; what they share is counted for each of them. */
  resident(all = everybody()): number {
    let kilobytes = 0;
    for (const pid of this.members(all))
      kilobytes += Number(/^VmRSS:\s*(\d+) kB$/m.exec(textOf(`/proc/${pid}/status`) ?? '')?.[1] ?? 0);
    return kilobytes * 1024;
  }

  /** Kills every member; true when there is none left. One that begins another meanwhile is found the next time. */
  kill(): boolean {
    let none = false;
    try {
      const pids = this.members();
      for (const pid of pids) signal(pid, 'SIGKILL');
      none = pids.length === 0;
    } catch {
      // F3.
    }
    // At once for all that are in it; elsewhere than on Linux it is all there is.
    signal(-this.#first, 'SIGKILL');
    return none;
  }

  #isMember({ pid, parent, group, session, began }: Living, found: ReadonlySet<number>): boolean {
    if (this.#members.get(pid) === began || found.has(parent)) return true;
    // If nobody knows when the first one began, only the mark is proof.
    if (this.#since !== undefined && (group === this.#first || session === this.#first)) return true;
    return textOf(`/proc/${pid}/environ`)?.split('\0').includes(this.#mark) === true;
  }
}

/** A negative `pid` is a group. It may be gone already, or not be ours to signal. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Whoever had to know looks whether it lives.
  }
}

/** Everybody on this machine, our own or not. @throws an Error when there is no file descriptor to look with */
export function everybody(): Living[] {
  const names = unlessMissing(() => readdirSync('/proc')) ?? [];
  return names.flatMap((name) => (/^\d+$/.test(name) ? (statOf(Number(name)) ?? []) : []));
}

/** Undefined for one that is gone, or is dead and only not yet buried. */
function statOf(pid: number): Living | undefined {
  const text = textOf(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // Its name comes first, in parentheses, and may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  const field = (nth: number): number => Number(fields[nth - 3]);
  return { pid, parent: field(4), group: field(5), session: field(6), began: field(22) };
}

const textOf = (file: string): string | undefined => unlessMissing(() => readFileSync(file, 'latin1'));

function unlessMissing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EMFILE' || code === 'ENFILE') throw error;
    return undefined;
  }
}
