import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { createActor, type AnyActorRef, type AnyMachineSnapshot, type AnyStateMachine } from 'xstate';
import { createRun, foldRun, takeOver } from '../../actors/owner.ts';
import type { Body, RunPorts } from '../../actors/run/ports.ts';
import type { Run } from '../../actors/run.ts';
import { runMachine } from '../../machines/run.ts';
import { Deadlines, type Deadline } from '../../src/clock.ts';
import type { Entry } from '../../src/protocol/entry.ts';
import { DEFAULT_TENANT, runId } from '../../src/protocol/ids.ts';
import { digest, digestOf } from './digest.ts';
import { CutJournal } from './journal.ts';
import { quiet, SimulatedClock } from './simulatedClock.ts';
import { World, type Reference, type Stage } from './world.ts';

export const RUN = runId('cut');

/** Remembers which deadlines stand, by timer key. */
class WatchedDeadlines extends Deadlines {
  readonly standing = new Map<string, number>();
  /** When a key was due, also after it has fired. */
  readonly dues = new Map<string, number>();
  /** Fired, perhaps not recorded yet. */
  readonly fired = new Set<string>();

  override add(due: number, order: number, key: string, fire: () => void): Deadline {
    const timer = key.slice(RUN.length + 1);
    this.standing.set(timer, due);
    this.dues.set(timer, due);
    return super.add(due, order, key, () => {
      this.standing.delete(timer);
      this.fired.add(timer);
      fire();
    });
  }

  override remove(deadline: Deadline): void {
    if (!this.fired.has(deadline.key.slice(RUN.length + 1))) this.standing.delete(deadline.key.slice(RUN.length + 1));
    super.remove(deadline);
  }
}

/** What stood at one entry. */
export interface Moment {
  readonly entry: Entry;
  readonly status: string;
  readonly actors: unknown;
  readonly body: unknown;
  readonly acted: number;
  readonly standing: readonly (readonly [key: string, due: number])[];
  readonly fired: readonly string[];
}

/** One process of a durable run. */
export class Process {
  readonly reference: Reference;
  readonly world = new World();
  readonly clock: SimulatedClock;
  readonly journal: CutJournal;
  readonly deadlines: WatchedDeadlines;
  readonly ports: RunPorts;
  readonly reports: unknown[] = [];
  readonly moments: Moment[] = [];
  /** Irreversible sources that began while their intent was not on record. */
  readonly premature: string[] = [];
  run!: Run;

  private constructor(reference: Reference, journal: CutJournal, now?: number) {
    this.reference = reference;
    this.journal = journal;
    this.clock = new SimulatedClock(now);
    this.deadlines = new WatchedDeadlines(this.clock);
    this.world.watch = (source) => {
      const intents = journal.entries.filter(
        ({ type, target }) => type === 'leaf.started' && target === `body/${source}`,
      );
      if (reference.effects?.[source] === 'irreversible' && intents.length === 0) this.premature.push(source);
    };
    const report = (error: unknown, where: string): void => void this.reports.push([where, error]);
    this.ports = { journal, clock: this.clock, deadlines: this.deadlines, report, continueAfter: 4 };
  }

  static async start(reference: Reference): Promise<Process> {
    const process = new Process(reference, new CutJournal());
    const { input } = reference;
    const created = {
      definition: reference.name,
      version: '1',
      chart: '',
      input,
      owner: 'first',
      by: 'test',
      tenant: DEFAULT_TENANT,
      budget: null,
      spec: null,
      parent: null,
      origins: [],
    };
    const made = await createRun(RUN, created, process.#body(), process.ports);
    assert(made !== undefined);
    made.run.goLive(made.first);
    process.#attach(made.run);
    return process;
  }

  /** Folds what the process before has left; nothing is executed yet. */
  static async fold(reference: Reference, journal: CutJournal): Promise<Process> {
    const last = journal.entries.at(-1);
    const process = new Process(reference, journal, (last?.at ?? 0) + (reference.late ?? 0));
    process.run = (await foldRun(RUN, () => ({ body: process.#body() }), process.ports)).run;
    return process;
  }

  async takeOver(): Promise<void> {
    assert(await takeOver(this.run, 'next', this.ports));
    this.run.goLive([]);
    this.#attach(this.run);
  }

  /** Nothing is under way any more. */
  quiet(): Promise<void> {
    return quiet(
      this.clock,
      () => this.journal.underWay > 0,
      () => this.journal.stored.length + this.world.revision,
    );
  }

  async drive(): Promise<void> {
    const stage: Stage = {
      world: this.world,
      clock: this.clock,
      in: (value) => inState(this.run.bodyActor, value),
      context: () => contextOf(this.run.bodyActor),
      send: (event) => void this.run.commands.obey({ type: 'send', event, cause: null, by: 'test' }),
    };
    await drive(this.reference, stage, {
      quiet: () => this.quiet(),
      ended: () => this.run.end !== undefined,
      decide: () => this.#decide(),
      show: () => inspect(this.moment(this.journal.entries.at(-1) as Entry), { depth: 4 }),
    });
  }

  moment(entry: Entry): Moment {
    const { run, world, deadlines } = this;
    return {
      entry,
      status: run.status,
      actors: digest(run.system),
      body: run.bodyActor && digestOf(run.bodyActor),
      acted: world.acted.length,
      standing: [...deadlines.standing],
      fired: [...deadlines.fired],
    };
  }

  #decide(): boolean {
    const [doubt] = this.run.inDoubt();
    if (doubt === undefined) return false;
    const src = this.run.system.nodes.get(doubt.call)?.actor?.src;
    const output = this.reference.decide?.[typeof src === 'string' ? src : ''];
    assert(output !== undefined, `${doubt.call} is in doubt`);
    void this.run.commands.obey({ type: 'resolve', call: doubt.call, decision: { output }, seen: 0, by: 'test' });
    return true;
  }

  #attach(run: Run): void {
    this.run = run;
    const last = this.journal.entries.at(-1);
    assert(last !== undefined && run.position.seq === last.seq, 'the first moment was missed');
    this.moments.push(this.moment(last));
    run.watchers.observe((entry) => this.moments.push(this.moment(entry)));
  }

  #body(): Body {
    const body = this.reference.create(this.world);
    // A border: the run machine declares `body` by kind only.
    const machine = runMachine.provide({ actors: { body: body as never } }) as unknown as AnyStateMachine;
    const { effects = {}, continueAs } = this.reference;
    return { machine, exits: false, effects, continueAs };
  }
}

interface Hands {
  quiet(): Promise<void>;
  ended(): boolean;
  decide(): boolean;
  show(): string;
}

const MAX_STEPS = 200;

/** By rule, otherwise by deciding what is in doubt, otherwise by letting time pass to the next deadline. */
async function drive(reference: Reference, stage: Stage, hands: Hands): Promise<void> {
  for (let step = 0; step < MAX_STEPS; step += 1) {
    await hands.quiet();
    if (hands.ended()) return;
    if (reference.rules?.some((rule) => rule(stage)) || hands.decide()) continue;
    const { nextDue } = stage.clock;
    if (nextDue === undefined) assert.fail(`${reference.name} waits for something that nobody gives: ${hands.show()}`);
    stage.clock.increment(Math.max(0, nextDue - stage.clock.now()));
  }
  assert.fail(`${reference.name} does not end: ${hands.show()}`);
}

/** The same machine under the same rules in plain XState. */
export async function plainXState(reference: Reference): Promise<{ actor: AnyActorRef; world: World }> {
  const world = new World();
  const clock = new SimulatedClock();
  const actor = createActor(reference.create(world), { input: reference.input, clock: clock as never });
  actor.subscribe({ error: () => {} });
  actor.start();
  const stage: Stage = {
    world,
    clock,
    in: (value) => inState(actor, value),
    context: () => contextOf(actor),
    send: (event) => actor.send(event),
  };
  await drive(reference, stage, {
    quiet: () =>
      quiet(
        clock,
        () => false,
        () => world.revision,
      ),
    ended: () => (actor.getSnapshot() as { status: string }).status !== 'active',
    decide: () => false,
    show: () => inspect(actor.getSnapshot(), { depth: 2 }),
  });
  return { actor, world };
}

const inState = (actor: AnyActorRef | undefined, value: string | object): boolean => {
  const snapshot = actor?.getSnapshot() as AnyMachineSnapshot | undefined;
  return snapshot?.status === 'active' && snapshot.matches(value as never);
};

const contextOf = (actor: AnyActorRef | undefined): unknown =>
  (actor?.getSnapshot() as { context?: unknown } | undefined)?.context;
