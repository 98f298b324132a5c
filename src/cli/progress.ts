import type { AnyMachineSnapshot } from 'xstate';
import { childIn } from '../../actors/child.ts';
import { skipped } from '../../machines/plan.ts';
import { systemClock } from '../clock.ts';
import type { Entry } from '../protocol/entry.ts';
import { asFailure } from '../codec.ts';
import type { RunHandle } from '../run.ts';
import { Tracer } from '../trace.ts';
import { approvalsIn } from './awaiting.ts';
import { because, duration, label } from './render.ts';
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
  /** Calls of which it is told that they wait for approval. */
  readonly #told = new Set<string>();

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
    if (this.#tree === undefined) this.#line(entry);
    else this.#tree.entry(entry);
    this.#timer ??= this.#clock.setTimeout(() => this.#draw(), DRAW_MS);
  }

  /** What was drawn last stays on the screen. */
  end(): void {
    this.#clock.clearTimeout(this.#timer);
    if (this.#tree === undefined) return this.#tellSkipped();
    this.#draw();
    this.#terminal.keep();
  }

  get #snapshot(): AnyMachineSnapshot | undefined {
    return this.#run.getSnapshot() as AnyMachineSnapshot | undefined;
  }

  #draw(): void {
    this.#timer = undefined;
    if (this.#tree === undefined) this.#tellApprovals();
    else this.#terminal.draw(this.#tree.lines(this.#snapshot, this.#terminal));
  }

  #say(text: string): void {
    this.#terminal.say(`${this.#prefix}${harmless(text)}`);
  }

  #tellApprovals(): void {
    const snapshot = this.#snapshot;
    if (snapshot?.status !== 'active') return;
    for (const { call, hash } of approvalsIn(snapshot)) {
      if (this.#told.has(hash)) continue;
      this.#told.add(hash);
      this.#say(`${label(call, this.#definition)} waits for approval: troupe approve ${this.#run.id} ${call}`);
    }
  }

  #tellSkipped(): void {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return;
    for (const [step, reason] of skipped(snapshot)) this.#say(`skipped ${step}: ${reason}`);
  }

  #line(entry: Entry): void {
    const durationMs = this.#tracer.durationMs(entry);
    const text = this.#textOf(entry, durationMs === undefined ? '' : ` (${duration(durationMs)})`);
    if (text !== undefined && entry.seq >= this.#from) this.#say(text);
  }

  #textOf(entry: Entry, took: string): string | undefined {
    const name = label(entry.target, this.#definition);
    const child = childIn(entry);
    switch (entry.type) {
      case 'leaf.started':
        return `begun ${name}${entry.event.attempt === 1 ? '' : ' again'}${child === undefined ? '' : `: run ${child.run}`}`;
      case 'leaf.succeeded':
        return `done ${name}${took}`;
      case 'leaf.failed':
        return `failed ${name}${took}: ${asFailure(entry.event.error).message}`;
      case 'leaf.abandoned':
        return `left ${name}${took}`;
      case 'action.failed':
        return `failed an action of ${name}: ${asFailure(entry.event.error).message}`;
      case 'message.received':
        // That it needs approval is said where it waits.
        return entry.event.event.type === 'troupe.judged' ? undefined : `told ${name} ${entry.event.event.type}`;
      case 'message.refused':
        return `refused ${entry.event.type}: ${entry.event.error.message}`;
      case 'run.recovered':
        return 'recovered';
      case 'run.paused':
        return `paused by ${entry.event.by}${because(entry.event.reason, 'paused')}`;
      case 'run.resumed':
        return `resumed by ${entry.event.by}`;
      case 'checkpoint':
        return `checkpoint ${entry.event.label}`;
      case 'budget.exceeded':
        return `over budget: ${entry.event.spent + (entry.event.reserved ?? 0)} of ${entry.event.limit} ${entry.event.resource}`;
      default:
        return undefined;
    }
  }
}
