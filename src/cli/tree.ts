import type { AnyActorRef, AnyMachineSnapshot } from 'xstate';
import { standing } from '../../machines/plan.ts';
import { beginOf, isEnd, type Entry } from '../protocol/entry.ts';
import { label } from './render.ts';
import { harmless, type Style, type Terminal } from './terminal.ts';

type State = 'waiting' | 'running' | 'in doubt' | 'done' | 'failed' | 'skipped' | 'stopped';

const MARKS: Record<State, readonly [mark: string, style: Style]> = {
  waiting: ['○', 'dim'],
  running: ['●', 'cyan'],
  'in doubt': ['?', 'yellow'],
  done: ['✓', 'green'],
  failed: ['✗', 'red'],
  skipped: ['–', 'dim'],
  stopped: ['■', 'yellow'],
};

interface Branch {
  state: State;
  begun: number;
  ended: number;
  /** Calls there will be, where it is known. */
  total: number | undefined;
}

/** A run's steps, or the sources of its machine: from the entries what has happened, from the live machine what waits and how much there will be. */
export class Tree {
  readonly #branches = new Map<string, Branch>();
  #title = '';
  #definition = '';

  constructor(steps: readonly string[]) {
    for (const step of steps) this.#branch(step);
  }

  entry(entry: Entry): void {
    if (entry.type === 'run.created') {
      this.#definition = entry.event.definition;
      this.#title = `${entry.event.definition}  ${entry.run}`;
      for (const { name } of (entry.event.spec as { steps: { name: string }[] } | null)?.steps ?? [])
        this.#branch(name);
    }
    if (isEnd(entry.type)) return this.#end(entry.type === 'run.completed');
    if (!entry.target.startsWith('body/')) return;
    const [first = ''] = label(entry.target, this.#definition).split('/');
    const begin = beginOf(entry);
    if (begin !== undefined) {
      const branch = this.#branch(first);
      if (begin.attempt === 1) branch.begun += 1;
      branch.state = 'running';
    }
    if (entry.type === 'leaf.succeeded' || entry.type === 'leaf.failed' || entry.type === 'leaf.abandoned') {
      const branch = this.#branch(first);
      branch.ended += 1;
      if (branch.ended < branch.begun) return;
      branch.state = entry.type === 'leaf.succeeded' ? 'done' : entry.type === 'leaf.failed' ? 'failed' : 'stopped';
    }
  }

  lines(snapshot: unknown, terminal: Terminal): string[] {
    const machine = snapshot as Partial<AnyMachineSnapshot> | undefined;
    const children = (machine?.children ?? {}) as Record<string, AnyActorRef | undefined>;
    const lines = [terminal.paint('bold', harmless(this.#title))];
    const steps = machine && standing(machine);
    for (const [name, branch] of this.#branches) {
      if (steps?.get(name) === 'skipped') branch.state = 'skipped';
      this.#look(branch, children[name]?.getSnapshot() as Partial<AnyMachineSnapshot> | undefined);
      const [mark, style] = MARKS[branch.state];
      const { begun, ended, total = begun } = branch;
      const many = total > 1 ? `  ${ended}/${total}` : '';
      lines.push(
        `${terminal.paint(style, `${mark} ${harmless(name)}`)}${many}  ${terminal.paint('dim', branch.state)}`,
      );
    }
    return lines;
  }

  #branch(name: string): Branch {
    let branch = this.#branches.get(name);
    if (branch === undefined)
      this.#branches.set(name, (branch = { state: 'waiting', begun: 0, ended: 0, total: undefined }));
    return branch;
  }

  #look(branch: Branch, child: Partial<AnyMachineSnapshot> | undefined): void {
    if (child?.status !== 'active') return;
    const items = (child.context as { items?: unknown } | undefined)?.items;
    if (Array.isArray(items)) branch.total = items.length;
    branch.state = isInDoubt(child) ? 'in doubt' : 'running';
  }

  #end(completed: boolean): void {
    for (const branch of this.#branches.values())
      if (branch.state === 'waiting') branch.state = completed ? 'done' : 'skipped';
      else if (branch.state === 'running' || branch.state === 'in doubt') branch.state = completed ? 'done' : 'stopped';
  }
}

function isInDoubt(snapshot: Partial<AnyMachineSnapshot>): boolean {
  if (snapshot.tags?.has('inDoubt') === true) return true;
  return Object.values((snapshot.children ?? {}) as Record<string, AnyActorRef | undefined>).some((child) =>
    isInDoubt((child?.getSnapshot() ?? {}) as Partial<AnyMachineSnapshot>),
  );
}
