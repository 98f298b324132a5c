import type { AnyActorRef } from 'xstate';
import { isEnd, type Beginning, type Child, type Entry, type EntryOf } from '../src/protocol/entry.ts';
import { ClosedError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import type { Approval } from '../src/protocol/spec.ts';
import { NO_SUMMARY, summarised, type Summary } from '../src/summary.ts';
import { approvalsIn } from './approvals.ts';
import { Calls } from './calls.ts';
import { endOf, mustEndAs, statusOf, type Ended } from './end.ts';
import { Gate } from './gate.ts';
import { Pump, type Position } from './pump.ts';
import { Alarms } from './run/alarms.ts';
import { Commands } from './run/commands.ts';
import { Continuing } from './run/continuing.ts';
import { Ending } from './run/ending.ts';
import { Orphans } from './run/orphans.ts';
import type { Body, RunPorts } from './run/ports.ts';
import { Rest } from './run/rest.ts';
import { Watchers } from './run/watchers.ts';
import type { Said } from './said.ts';
import { DurableSystem, type SystemHost } from './system.ts';

const CONTINUE_AFTER = 1_000;

/**
 * A run's owner: its actor system, its pump, its calls.
 *
 * R1. When the run machine is done, its end is the last entry.
 */
export class Run {
  readonly id: RunId;
  readonly body: Body;
  readonly calls: Calls;
  readonly commands: Commands;
  readonly watchers: Watchers;
  readonly rest: Rest;
  #beginning: Beginning;
  #system: DurableSystem;
  readonly #ports: RunPorts;
  readonly #pump: Pump;
  readonly #position: Position;
  readonly #alarms: Alarms;
  readonly orphans: Orphans;
  readonly ending: Ending;
  /** Undefined where its definition does not say how. */
  readonly #continuing: Continuing | undefined;
  #live = false;
  /** It has mail of before it came here. */
  #catchesUp = false;
  #summary: Summary;
  #owner: string;

  constructor(
    id: RunId,
    beginning: Beginning,
    position: Position,
    body: Body,
    ports: RunPorts,
    before: Summary = NO_SUMMARY,
  ) {
    this.id = id;
    this.body = body;
    this.#ports = ports;
    this.#position = position;
    const { report } = ports;
    this.#pump = new Pump(id, position, ports, {
      deliver: (group) => this.#deliver(group),
      lost: (error) => this.ending.lose(error),
      idle: () => this.#idle(),
      report,
    });
    this.calls = new Calls(new Gate(), this.#pump, {
      run: id,
      system: () => this.#system,
      stopped: () => this.ending.stopped,
      paused: () => this.#paused,
      switchedOff: () => this.#ports.off?.(this) === true,
      canWrapUp: () => this.#system.canWrapUp,
      leave: (child) => this.orphans.add(child),
      childEnd: async (child) => this.#ports.children?.end(child),
      childSpent: async (child) => this.#ports.children?.spent(child),
    });
    this.commands = new Commands(this, this.#pump, this.calls, ports);
    this.watchers = new Watchers(this, report);
    this.#alarms = new Alarms(id, ports, { say: (said) => this.#say(said), timeIsUp: () => this.calls.timeIsUp() });
    this.ending = new Ending(this, this.#pump, this.#alarms, {
      note: (entry) => this.#note(entry),
      over: () => ports.over?.(this),
      report,
    });
    this.orphans = new Orphans(id, ports, () => {
      if (this.rest.rests) this.#idle();
    });
    this.rest = new Rest(this, this.#pump, this.orphans, {
      waits: (child) => this.#ports.children?.waits(child, this.status === 'paused') === true,
      rests: () => this.#ports.rests?.(this),
    });
    const { continueAs } = body;
    if (continueAs !== undefined)
      this.#continuing = new Continuing(this, { continueAs, after: ports.continueAfter ?? CONTINUE_AFTER, report });
    this.#summary = before;
    this.#owner = beginning.event.owner;
    this.#beginning = beginning;
    this.#system = this.#begin(beginning, false);
    this.#note(beginning);
  }

  /** Its actors, from this entry on. */
  #begin(beginning: Beginning, live: boolean): DurableSystem {
    this.#beginning = beginning;
    const { input } = beginning.event;
    const again = beginning.type === 'run.continued';
    const system = new DurableSystem(
      this.body.machine,
      { input, exits: this.body.exits },
      this.#host(),
      beginning,
      again ? { body: beginning.event.body - 1 } : {},
    );
    this.#system = system;
    if (again) {
      this.commands.continueAfter(beginning.event.inbox);
      // Whatever it had begun before, it is treated as having begun something that cannot be undone.
      this.#pump.irreversible = true;
    }
    if (live) this.#show();
    if (again) system.deliver(beginning);
    return system;
  }

  #host(): SystemHost {
    return {
      run: this.id,
      origins: this.#beginning.event.origins,
      effects: this.body.effects,
      costs: this.body.costs ?? {},
      charge: (call, cost) => this.calls.gate.charge(call, cost),
      say: (said) => this.#say(said),
      want: (leaf) => this.calls.want(leaf),
      arm: (timer) => this.#alarms.arm(timer),
      disarm: (deadline) => this.#alarms.disarm(deadline),
      report: (error, where) => this.#ports.report(error, `run ${this.id}: ${where}`),
      child: (call, input, asked) => {
        const { children } = this.#ports;
        if (children !== undefined) return children.run(this, call, input, asked);
        throw new ClosedError(`Run ${this.id} can begin no runs here.`, { run: this.id });
      },
    };
  }

  get system(): DurableSystem {
    return this.#system;
  }

  /** Who has owned it last, as its journal has it. */
  get owner(): string {
    return this.#owner;
  }

  /** The entry that its actors began with. */
  get beginning(): Beginning {
    return this.#beginning;
  }

  get position(): Readonly<Position> {
    return this.#position;
  }

  /** Undefined when it was not folded from its first entry. */
  get summary(): Summary | undefined {
    return this.#summary.run === '' ? undefined : this.#summary;
  }

  get status(): string {
    // Killed when its machine had ended and that was not on record yet, it was killed.
    return this.end?.type.slice('run.'.length) ?? statusOf(this.#system.root);
  }

  /** The body's actor, also after its end. */
  get bodyActor(): AnyActorRef | undefined {
    return this.#system.nodes.bodyActor;
  }

  /** Every live actor and the state it is in. */
  states(): { actor: string; state: unknown }[] {
    return [...this.#system.nodes.actors()].map(([actor, ref]) => {
      const { value, status } = ref.getSnapshot() as { value?: unknown; status: string };
      return { actor, state: value ?? status };
    });
  }

  /** Runs that its calls have begun since its last beginning, and that calls under way wait for. */
  get openChildren(): readonly Child[] {
    return this.calls.children.open;
  }

  /** Calls whose outcome is not known and that somebody must decide. */
  inDoubt(): { run: RunId; call: string; input: unknown }[] {
    return this.calls.doubts.list().map((call) => ({ run: this.id, ...call }));
  }

  /** Calls that wait until somebody approves them. */
  approvals(): Approval[] {
    return approvalsIn(this.#system);
  }

  // How it goes on.

  /** Fold: where the journal stands. */
  advance(position: Position): void {
    Object.assign(this.#position, position);
  }

  /** Fold: one recorded entry. @throws ReplayDivergenceError */
  fold(entry: Entry): void {
    this.#system.deliver(entry);
    this.#note(entry);
    if (isEnd(entry.type)) {
      if (entry.type === 'run.killed') this.#system.tell({ type: 'troupe.killed' });
      mustEndAs(entry as Ended, this.#system);
      this.ending.finish(entry as Ended);
    }
  }

  /**
   * The fold is over and this process owns the run: timers are armed, leaves without an end begin. `then` is acknowledged already. `mail`:
   * gives it what others have asked for meanwhile; that was acknowledged before anything fell due here.
   */
  goLive(then: readonly Entry[], mail?: () => Promise<void>): void {
    this.#live = true;
    this.orphans.goLive();
    this.#catchesUp = mail !== undefined;
    this.#show();
    if (mail === undefined) return this.#awake(then);
    void mail().then(() => {
      this.#catchesUp = false;
      if (this.ending.stopped) return;
      this.#system.arm();
      this.#awake(then);
    });
  }

  #awake(then: readonly Entry[]): void {
    if (then.length > 0) this.#deliver(then);
    // What fell due while nobody was there comes first: it may end a state whose leaf then need not begin again.
    else if (!this.#alarms.fireOverdue(this.#system.armed())) this.#settle();
    // Nothing is on its way that would say so later.
    if (this.rest.rests) this.#idle();
  }

  #show(): void {
    const { root, nodes } = this.#system;
    this.#ports.attach?.({ root, actors: Array.from(nodes.actors(), ([, actor]) => actor) });
    this.#system.goLive();
    if (!this.#catchesUp) this.#system.arm();
  }

  #say(said: Said): void {
    if (this.ending.closing) return;
    if (said.type.startsWith('leaf.')) this.calls.say(said);
    else this.#pump.enqueue(said);
  }

  #deliver(group: readonly Entry[]): void {
    for (const entry of group) {
      if (entry.type === 'run.continued') this.#beginAgain(entry);
      else this.#system.deliver(entry);
      this.#note(entry);
      this.watchers.publish(entry);
      if (isEnd(entry.type)) return this.ending.finish(entry as Ended);
    }
    this.#settle();
  }

  #beginAgain(entry: EntryOf<'run.continued'>): void {
    this.ending.disarm();
    this.calls.clear();
    this.#system.root.stop();
    this.#begin(entry, true);
    this.watchers.lookAgain();
  }

  /** What a run keeps besides its system; the same live and in a fold. */
  #note(entry: Entry): void {
    if (this.#summary.run !== '' || entry.type === 'run.created') this.#summary = summarised(this.#summary, entry);
    if (isEnd(entry.type)) this.ending.note(entry as Ended);
    this.commands.note(entry);
    if (entry.type === 'run.recovered' || entry.type === 'run.forked') this.#owner = entry.event.owner;
    if (entry.type === 'leaf.started' && entry.event.effect === 'irreversible') this.#pump.irreversible = true;
    this.calls.note(entry);
  }

  #settle(): void {
    if (this.ending.stopped) return;
    const { status } = this.#system.root.getSnapshot();
    if (status !== 'active') return this.#conclude();
    this.#alarms.watchTime(this.calls.gate.dueMs);
    if (!this.#catchesUp) this.calls.begin();
  }

  get catchesUp(): boolean {
    return this.#catchesUp;
  }

  /** What held it back may hold it no more. */
  goOn(): void {
    if (this.#live && this.#pump.idle) this.#idle();
  }

  /** Nothing begins for now: it is paused, or all that is like it is switched off and it is about to be killed. */
  get #paused(): boolean {
    return this.commands.pausing || this.status === 'paused' || this.#ports.off?.(this) === true;
  }

  #idle(): void {
    // What was held may begin, though nothing was delivered: of what was under way all may have been refused.
    if (!this.#catchesUp && !this.ending.stopped) {
      this.calls.begin();
      // What was held while its time was up is at work now.
      this.#alarms.watchTime(this.calls.gate.dueMs);
    }
    const again = this.#continuing?.next();
    if (again !== undefined) this.#say(again);
    else this.rest.settle();
  }

  // How it is over here.

  get end(): Ended | undefined {
    return this.ending.end;
  }

  /** Rejects when this process has let go of it before its end. */
  get ended(): Promise<Ended> {
    return this.ending.ended;
  }

  /** Nothing begins here any more: the run has ended, or is being taken away. */
  get stopped(): boolean {
    return this.ending.stopped;
  }

  /** R1. */
  #conclude(): void {
    // What an action threw on the way to the end decides how the run ended.
    if (this.#system.actions.broken) return;
    this.#system.nodes.abort();
    this.ending.close();
    this.ending.disarm();
    const end = endOf(this.#system);
    const { costs } = this.calls.gate;
    if (costs !== undefined) end.event.costs = costs;
    this.#pump.enqueue(end, this.#position.seq);
  }
}
