import type { AnyEventObject } from 'xstate';
import { asFailure, encode } from '../../src/codec.ts';
import type { Entry, EntryEvents, EntryOf } from '../../src/protocol/entry.ts';
import type { Actions } from './actions.ts';
import type { Border } from './border.ts';
import { keep } from '../../machines/kept.ts';
import { diverged } from './divergence.ts';
import { emissionOf, end, stop, type Emission } from '../durable.ts';
import { exceeded } from '../gate.ts';
import type { Node } from './node.ts';
import type { Nodes } from './nodes.ts';
import type { Delayed } from '../timers.ts';

/** What each type of entry is to the machines of a run. */
export class Delivery {
  readonly #nodes: Nodes;
  readonly #border: Border;
  readonly #actions: Actions;
  /** The delayed send of that key, which is due. */
  readonly #take: (timer: string) => Delayed | undefined;

  constructor(nodes: Nodes, border: Border, actions: Actions, take: (timer: string) => Delayed | undefined) {
    this.#nodes = nodes;
    this.#border = border;
    this.#actions = actions;
    this.#take = take;
  }

  /** @throws ReplayDivergenceError when the entry does not fit the machines */
  deliver(entry: Entry): void {
    this.#border.enter(entry);
    try {
      this.#apply(entry);
    } finally {
      this.#border.leave();
    }
  }

  #apply(entry: Entry): void {
    switch (entry.type) {
      case 'run.created':
      case 'run.completed':
      case 'run.failed':
      case 'message.refused':
      case 'checkpoint':
        return;
      case 'run.started':
        return this.#border.tell({ type: 'troupe.start' });
      case 'run.continued':
        return this.#border.tell({ type: 'troupe.start', paused: entry.event.paused !== undefined });
      case 'run.recovered':
        return this.#interrupt();
      case 'run.forked':
        this.#interrupt();
        for (const [, actor] of Array.from(this.#nodes.actors())) this.#border.inform(actor, { type: 'troupe.forked' });
        return;
      case 'run.paused':
        return this.#border.tell({ type: 'troupe.pause' });
      case 'run.resumed':
        return this.#border.tell({ type: 'troupe.resume' });
      case 'run.killed':
        this.#nodes.abort();
        return this.#border.tell({ type: 'troupe.kill', reason: entry.event.reason });
      case 'budget.exceeded':
        return this.#border.tell({
          type: 'troupe.budgetExceeded',
          error: asFailure(exceeded(entry.event)),
          onExhausted: entry.event.onExhausted,
        });
      case 'message.received':
        return this.#to(entry, ({ actor }) => this.#border.pass(undefined, actor, heard(entry.event.event)));
      case 'action.failed':
        return this.#actionFailed(entry);
      case 'timer.fired':
        return this.#fired(entry);
      case 'leaf.abandoned':
        // Live it has stopped by now; in a fold what stopped it may be that its run was about to end.
        return this.#to(entry, ({ actor }) => stop(actor));
      case 'leaf.started':
        return this.#to(entry, (node) => this.#started(node, entry));
      case 'leaf.emitted':
        return this.#to(entry, (node) => this.#emitted(node, entry.event.event as Emission));
      case 'leaf.succeeded':
        return this.#to(entry, (node) => {
          // A chart that waits for the begin of its attempt need not hear of it: the attempt is over.
          if (entry.event.begun !== undefined) this.#begun(node, entry.event.begun, entry);
          this.#finish(node);
          end(node.actor, { status: 'done', output: entry.event.output }, entry.type);
        });
      case 'leaf.failed':
        return this.#to(entry, (node) => {
          if (entry.event.begun !== undefined) this.#begun(node, entry.event.begun, entry);
          this.#finish(node);
          end(node.actor, { status: 'error', error: entry.event.error }, entry.type);
        });
    }
  }

  /** To an actor that has stopped since, an entry is a recorded no-op; to one that never was, it is divergence. */
  #to(entry: Entry, then: (node: Node) => void): void {
    // A message is for the body that is there when it comes.
    const key = entry.type === 'message.received' && entry.target === 'body' ? this.#nodes.body : entry.target;
    const node = this.#nodes.get(key);
    if (node !== undefined) then(node);
    else this.#mustKnow(entry);
  }

  #mustKnow(entry: Entry): void {
    if (this.#nodes.knows(entry.target)) return;
    throw this.#diverged(entry, `an actor or timer '${entry.target}'`, this.#nodes.latest(10));
  }

  #diverged(entry: Entry, expected: unknown, got: unknown): Error {
    return diverged(this.#border.host.run, entry, expected, got);
  }

  #started(node: Node, entry: EntryOf<'leaf.started'>): void {
    this.#begun(node, entry.event, entry);
    const { attempt } = entry.event;
    this.#tellParent(node, { type: 'troupe.admitted', call: node.key, attempt });
  }

  #begun({ leaf }: Node, { attempt, input, effect }: EntryEvents['leaf.started'], entry: Entry): void {
    if (leaf === undefined) throw this.#diverged(entry, 'a call', 'a machine');
    leaf.attempts = attempt;
    if (effect === 'irreversible') leaf.effect = effect;
    leaf.interrupted = false;
    if (this.#border.folding && Buffer.compare(encode(input), encode(leaf.input)) !== 0)
      throw this.#diverged(entry, input, leaf.input);
  }

  #emitted({ leaf, actor }: Node, emission: Emission): void {
    if (leaf === undefined) return;
    const { target, event } = emissionOf(actor, emission);
    if (this.#border.folding) leaf.recorded.push('data' in emission ? emission.data : event);
    if (target === actor) this.#border.passToItself(actor, event);
    else if (target !== undefined) this.#border.pass(actor, target, event);
  }

  #finish(node: Node): void {
    if (node.leaf === undefined) return;
    node.leaf.finish();
    this.#nodes.drop(node);
  }

  #actionFailed(entry: EntryOf<'action.failed'>): void {
    const node = this.#nodes.get(entry.target);
    if (node !== undefined) return this.#actions.failed(node, entry);
    this.#mustKnow(entry);
    this.#actions.failedLate(entry, this.#nodes.body);
  }

  /** The owner that had begun these, or was at judging them, is gone. A machine that handles `troupe.interrupted` decides itself what that means. */
  #interrupt(): void {
    for (const [, actor] of Array.from(this.#nodes.actors())) this.#border.inform(actor, { type: 'troupe.unjudged' });
    for (const leaf of Array.from(this.#nodes.leaves())) {
      const node = this.#nodes.get(leaf.key);
      if (leaf.attempts === 0 || node === undefined) continue;
      leaf.interrupted = true;
      this.#tellParent(node, { type: 'troupe.interrupted', call: leaf.key, effect: leaf.effect });
    }
  }

  #fired(entry: EntryOf<'timer.fired'>): void {
    const timer = this.#take(entry.target);
    if (timer === undefined) return this.#mustKnow(entry);
    this.#border.pass(timer.source, timer.target, timer.event);
  }

  #tellParent({ parent }: Node, event: AnyEventObject): void {
    if (parent !== undefined) this.#border.inform(parent.actor, event);
  }
}

/** Inspectors are shown an event before its machine is given it: a judgement is what is on record, whatever they do to that. */
const heard = (event: AnyEventObject): AnyEventObject => (event.type === 'troupe.judged' ? keep(event) : event);
