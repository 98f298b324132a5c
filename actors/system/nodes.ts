import type { AnyActorRef } from 'xstate';
import { halt, isRunning, isStopped, setOwn, stop } from '../durable.ts';
import { nodeOf, type Node, type Within } from './node.ts';
import type { OwnLeaf } from './ownLeaf.ts';

/**
 * The actors of a run by their keys.
 *
 * S3. Keys are derived: parent's key, source's name, ordinal there. The same entries give the same keys.
 */
export class Nodes {
  readonly #nodes = new Map<string, Node>();
  /** Those of them that are leaves, in the order they were wanted. */
  readonly #leaves = new Set<OwnLeaf>();
  readonly #ordinals = new Map<string, number>();
  #bodyActor: AnyActorRef | undefined;

  /** Key of the body. */
  readonly body: string;
  /** How many bodies the run has had, this one included. */
  readonly bodies: number;

  /** `before`: how many bodies there were. */
  constructor(before: number) {
    this.bodies = before + 1;
    this.body = numbered('body', this.bodies);
    if (before > 0) this.#ordinals.set('body', before);
  }

  /** An actor that is being made. */
  add(system: Within, actor: AnyActorRef, source: string, parentRef: AnyActorRef | undefined): Node {
    const parent = parentRef && nodeOf(parentRef);
    const key =
      parent === undefined
        ? 'run'
        : this.#ordinal(`${parent.parent === undefined ? '' : `${parent.key}/`}${escaped(source)}`);
    const node: Node = { key, system, actor, parent, leaf: undefined, broken: false };
    setOwn(actor, node);
    this.#nodes.set(key, node);
    if (key === this.body) this.#bodyActor = actor;
    return node;
  }

  addLeaf(node: Node, leaf: OwnLeaf): void {
    node.leaf = leaf;
    this.#leaves.add(leaf);
  }

  /** For a timer of that actor. */
  timerKey({ key }: Node, type: string): string {
    return this.#ordinal(`${key}@${escaped(type)}`);
  }

  drop(node: Node): void {
    this.#nodes.delete(node.key);
    if (node.leaf !== undefined) this.#leaves.delete(node.leaf);
  }

  stopChildren(parent: Node): void {
    for (const node of Array.from(this.#nodes.values())) {
      if (node.parent !== parent) continue;
      stop(node.actor);
      this.drop(node);
    }
  }

  /** Stops all but the root, children first; XState does not reach the children of an actor that has thrown. */
  abort(): void {
    for (const { actor, parent } of Array.from(this.#nodes.values()).reverse()) if (parent !== undefined) halt(actor);
  }

  /** Undefined when it has stopped. */
  get(key: string): Node | undefined {
    const node = this.#nodes.get(key);
    return node !== undefined && !isStopped(node.actor) ? node : undefined;
  }

  /** Also after its end. */
  get bodyActor(): AnyActorRef | undefined {
    return this.#bodyActor;
  }

  /** Live actors by key, parents before children. */
  *actors(): Iterable<[key: string, actor: AnyActorRef]> {
    for (const [key, { actor }] of this.#nodes) if (!isStopped(actor)) yield [key, actor];
  }

  /** Leaves that are not over, in the order they were wanted. */
  *leaves(): Iterable<OwnLeaf> {
    for (const leaf of this.#leaves) if (!leaf.over && isRunning(leaf.actor)) yield leaf;
  }

  /** The last that were made. */
  latest(count: number): string[] {
    return Array.from(this.#nodes.keys()).slice(-count);
  }

  /** True for a key that an actor or timer has or had. */
  knows(key: string): boolean {
    const body = EARLIER_BODY.exec(key);
    if (body !== null && Number(body[1] ?? 1) < this.bodies) return true;
    const [, name = '', ordinal] = /^(.*?)(?::(\d+))?$/s.exec(key) ?? [];
    return key === 'run' || (this.#ordinals.get(name) ?? 0) >= Number(ordinal ?? 1);
  }

  #ordinal(name: string): string {
    const ordinal = (this.#ordinals.get(name) ?? 0) + 1;
    this.#ordinals.set(name, ordinal);
    return numbered(name, ordinal);
  }
}

const EARLIER_BODY = /^body(?::(\d+))?(?=[/@]|$)/;
const numbered = (name: string, ordinal: number): string => (ordinal === 1 ? name : `${name}:${ordinal}`);
const escaped = (name: string): string => name.replace(/[%/:@]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
