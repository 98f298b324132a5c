import type { Entry, Plan } from 'troupe';

type State = 'waiting' | 'running' | 'done' | 'failed';

const MARKS: Record<State, string> = { waiting: '○', running: '●', done: '✓', failed: '✗' };
const COLOURS: Record<State, number> = { waiting: 2, running: 36, done: 32, failed: 31 };

interface Step {
  title: string;
  /** The step whose list it is called once per item of. */
  each: string | null;
  state: State;
  calls: Set<string>;
  done: Set<string>;
  /** Calls there will be, once that is known. */
  total: number;
  /** Of the list it gave. */
  length: number;
}

/** What it is drawn on: `process.stdout`. */
export interface Screen {
  isTTY?: boolean | undefined;
  columns?: number | undefined;
  write(text: string): unknown;
}

/** A plan as it runs: drawn anew with every entry on a terminal, a line per change elsewhere. */
export class Progress {
  readonly #steps = new Map<string, Step>();
  readonly #screen: Screen;
  #drawn = 0;

  /** `text`: the plan as it was written. */
  constructor({ spec }: Pick<Plan, 'spec'>, text: string, screen: Screen) {
    this.#screen = screen;
    const lines = text.split(/\r?\n/).map((line) => line.trim());
    for (const { name, each: items } of spec.steps) {
      const title = lines.find((line) => line.toLowerCase().startsWith(`${name}.`)) ?? name;
      const each = typeof items === 'object' && 'from' in items ? items.from : null;
      this.#steps.set(name, { title, each, state: 'waiting', calls: new Set(), done: new Set(), total: 1, length: 0 });
    }
    if (screen.isTTY === true) this.#draw();
  }

  entry(entry: Entry): void {
    const before = new Map([...this.#steps.values()].map((step) => [step, step.state]));
    this.#take(entry);
    if (this.#screen.isTTY === true) return this.#draw();
    for (const [step, state] of before)
      if (step.state !== state) this.#screen.write(`${MARKS[step.state]} ${step.title}${count(step)}\n`);
  }

  #take(entry: Entry): void {
    const { type, target, event } = entry;
    if (type === 'run.completed' || type === 'run.failed' || type === 'run.killed') {
      for (const step of this.#steps.values())
        if (type === 'run.completed') step.state = 'done';
        else if (step.state === 'running') step.state = 'failed';
      return;
    }
    // body/<step>/…/attempt
    const step = this.#steps.get(target.split('/')[1] ?? '');
    if (step === undefined) return;
    const call = target.slice(0, target.lastIndexOf('/'));
    if (type === 'leaf.started') {
      step.state = 'running';
      step.calls.add(call);
      const list = step.each === null ? undefined : this.#steps.get(step.each);
      step.total = list?.length ?? 1;
    }
    if (type === 'leaf.succeeded') {
      step.done.add(call);
      step.length = step.each === null && Array.isArray(event.output) ? event.output.length : step.total;
      if (step.done.size === step.total) step.state = 'done';
    }
  }

  #draw(): void {
    const width = this.#screen.columns || 80;
    const lines = [...this.#steps.values()].map((step) => {
      const text = `${MARKS[step.state]} ${step.title}${count(step)}`.slice(0, width - 1);
      return `\u001B[${COLOURS[step.state]}m${text}\u001B[0m\n`;
    });
    const back = this.#drawn === 0 ? '' : `\u001B[${this.#drawn}A\u001B[0J`;
    this.#screen.write(back + lines.join(''));
    this.#drawn = lines.length;
  }
}

const count = ({ each, state, done, total }: Step): string =>
  each === null || state === 'waiting' ? '' : `  ${done.size}/${total}`;
