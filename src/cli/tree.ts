import type { AnyActorRef, AnyMachineSnapshot } from 'xstate';
import { childIn } from '../../actors/child.ts';
import { skipped, standing } from '../../machines/plan.ts';
import { beginOf, isEnd, type Entry } from '../protocol/entry.ts';
import { approvalsIn } from './awaiting.ts';
import { Facts } from './facts.ts';
import { because, label } from './render.ts';
import { resuming, spentText } from './spent.ts';
import { flat, harmless, type Style, type Terminal } from './terminal.ts';

type State = 'waiting' | 'running' | 'awaiting approval' | 'in doubt' | 'done' | 'failed' | 'skipped' | 'stopped';

const MARKS: Record<State, readonly [mark: string, style: Style]> = {
  waiting: ['○', 'dim'],
  running: ['●', 'cyan'],
  'awaiting approval': ['!', 'yellow'],
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
  /** Why it is as it is, where that is not plain; or what is to be done about it. */
  note: string;
  /** Runs that it has begun. */
  children: string[];
}

/** A run's steps, or the sources of its machine: from the entries what has happened, from the live machine what waits and how much there will be. */
export class Tree {
  readonly #branches = new Map<string, Branch>();
  readonly #facts = new Facts();
  #run = '';
  #title = '';
  #definition = '';
  #over = false;

  constructor(steps: readonly string[]) {
    for (const step of steps) this.#branch(step);
  }

  entry(entry: Entry): void {
    this.#facts.note(entry);
    if (entry.type === 'run.created') {
      this.#run = entry.run;
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
      const child = childIn(entry);
      const text = child && `run ${child.run} (${child.definition})`;
      if (text !== undefined && !branch.children.includes(text)) branch.children.push(text);
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
    const { paused, limits, spent } = this.#facts;
    const lines = [terminal.paint('bold', harmless(this.#title))];
    const steps = machine && standing(machine);
    const reasons = machine && skipped(machine);
    for (const [name, branch] of this.#branches) {
      if (steps?.get(name) === 'skipped') branch.state = 'skipped';
      branch.note = reasons?.get(name) ?? branch.note;
      this.#look(branch, children[name]?.getSnapshot() as Partial<AnyMachineSnapshot> | undefined);
      const [mark, style] = MARKS[branch.state];
      const { begun, ended, total = begun } = branch;
      const many = total > 1 ? `  ${ended}/${total}` : '';
      const note = branch.note === '' ? '' : `: ${flat(branch.note)}`;
      lines.push(
        `${terminal.paint(style, `${mark} ${harmless(name)}`)}${many}  ${terminal.paint('dim', `${branch.state}${note}`)}`,
        ...branch.children.map((child) => terminal.paint('dim', `  └ ${flat(child)}`)),
      );
    }
    // A run of one tool has no steps to show it at.
    if (this.#branches.size === 0)
      for (const { call } of approvalsIn(machine))
        lines.push(terminal.paint('yellow', `awaiting approval: troupe approve ${this.#run} ${flat(call)}`));
    if (paused !== undefined && !this.#over)
      lines.push(
        terminal.paint(
          'yellow',
          flat(`paused${because(paused.reason, 'paused')}; to go on: ${resuming(this.#run, paused.exhausted)}`),
        ),
      );
    const spends = spentText(limits, spent);
    if (spends !== '') lines.push(terminal.paint('dim', `spent: ${spends}`));
    return lines;
  }

  #branch(name: string): Branch {
    let branch = this.#branches.get(name);
    if (branch === undefined) {
      branch = { state: 'waiting', begun: 0, ended: 0, total: undefined, note: '', children: [] };
      this.#branches.set(name, branch);
    }
    return branch;
  }

  #look(branch: Branch, child: Partial<AnyMachineSnapshot> | undefined): void {
    if (child?.status !== 'active') return;
    const items = (child.context as { items?: unknown } | undefined)?.items;
    if (Array.isArray(items)) branch.total = items.length;
    const [approval] = approvalsIn(child);
    branch.note = approval === undefined ? '' : `troupe approve ${this.#run} ${approval.call}`;
    branch.state = approval !== undefined ? 'awaiting approval' : isInDoubt(child) ? 'in doubt' : 'running';
  }

  #end(completed: boolean): void {
    this.#over = true;
    for (const branch of this.#branches.values()) {
      if (branch.state === 'waiting') branch.state = completed ? 'done' : 'skipped';
      else if (UNDER_WAY.includes(branch.state)) branch.state = completed ? 'done' : 'stopped';
      else continue;
      branch.note = branch.state === 'skipped' ? 'the run had ended' : '';
    }
  }
}

const UNDER_WAY: readonly State[] = ['running', 'awaiting approval', 'in doubt'];

function isInDoubt(snapshot: Partial<AnyMachineSnapshot>): boolean {
  if (snapshot.tags?.has('inDoubt') === true) return true;
  return Object.values((snapshot.children ?? {}) as Record<string, AnyActorRef | undefined>).some((child) =>
    isInDoubt((child?.getSnapshot() ?? {}) as Partial<AnyMachineSnapshot>),
  );
}
