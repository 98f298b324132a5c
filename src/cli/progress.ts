import { systemClock } from '../clock.ts';
import type { Entry } from '../protocol/entry.ts';
import { asFailure } from '../codec.ts';
import type { RunHandle } from '../run.ts';
import { Tracer } from '../trace.ts';
import { duration, label } from './render.ts';
import { harmless, type Terminal } from './terminal.ts';
import { Tree } from './tree.ts';

const DRAW_MS = 40;

interface Options {
  /** Shown as waiting from the beginning. */
  steps?: readonly string[];
  /** How many runs speak here at once. */
  among?: number;
  /** The seq from which on lines are written; what was before is known. */
  from?: number;
}

/** A run as it goes on: a tree drawn again and again on a terminal, elsewhere a line for each thing that happens. */
export class Progress {
  readonly #terminal: Terminal;
  readonly #run: RunHandle;
  readonly #tree: Tree | undefined;
  readonly #prefix: string;
  readonly #clock = systemClock();
  readonly #tracer = new Tracer();
  readonly #from: number;
  #definition = '';
  #timer: unknown;

  constructor(run: RunHandle, terminal: Terminal, options: Options = {}) {
    const alone = (options.among ?? 1) === 1;
    this.#terminal = terminal;
    this.#from = options.from ?? 1;
    this.#run = run;
    this.#tree = terminal.redraws && alone ? new Tree(options.steps ?? []) : undefined;
    this.#prefix = alone ? '' : `${run.id}  `;
  }

  entry(entry: Entry): void {
    if (entry.type === 'run.created') this.#definition = entry.event.definition;
    if (this.#tree === undefined) return this.#line(entry);
    this.#tree.entry(entry);
    this.#timer ??= this.#clock.setTimeout(() => this.#draw(), DRAW_MS);
  }

  /** What was drawn last stays on the screen. */
  end(): void {
    if (this.#tree === undefined) return;
    this.#clock.clearTimeout(this.#timer);
    this.#draw();
    this.#terminal.keep();
  }

  #draw(): void {
    this.#timer = undefined;
    this.#terminal.draw(this.#tree?.lines(this.#run.getSnapshot(), this.#terminal) ?? []);
  }

  #line(entry: Entry): void {
    const durationMs = this.#tracer.durationMs(entry);
    const text = this.#textOf(entry, durationMs === undefined ? '' : ` (${duration(durationMs)})`);
    if (text !== undefined && entry.seq >= this.#from) this.#terminal.say(`${this.#prefix}${harmless(text)}`);
  }

  #textOf(entry: Entry, took: string): string | undefined {
    const name = label(entry.target, this.#definition);
    switch (entry.type) {
      case 'leaf.started':
        return `begun ${name}${entry.event.attempt === 1 ? '' : ' again'}`;
      case 'leaf.succeeded':
        return `done ${name}${took}`;
      case 'leaf.failed':
        return `failed ${name}${took}: ${asFailure(entry.event.error).message}`;
      case 'leaf.abandoned':
        return `left ${name}${took}`;
      case 'action.failed':
        return `failed an action of ${name}: ${asFailure(entry.event.error).message}`;
      case 'message.received':
        return `told ${name} ${entry.event.event.type}`;
      case 'run.recovered':
        return 'recovered';
      case 'budget.exceeded':
        return `over budget: ${entry.event.spent} of ${entry.event.limit} ${entry.event.resource}`;
      default:
        return undefined;
    }
  }
}
