import { runId } from '../../protocol/ids.ts';
import { createTroupe } from '../../troupe.ts';
import type { TroupeOptions } from '../../options.ts';
import type { Fault, Plan } from './plan.ts';
import { Process } from './process.ts';
import { Random } from './random.ts';
import { damage } from './store/damage.ts';
import type { Lost } from './store/disk.ts';
import type { SimulatedStore } from './store/store.ts';
import type { Timeline } from './timeline.ts';

interface Told {
  trace(line: string): void;
  report(process: Process, error: unknown, where: string): void;
  lost(lost: Lost[]): void;
  damaged(run: string, seq: number): void;
  newer(how: 'version' | 'type'): void;
}

/** The processes of a simulation, each a troupe of its own on one store, and what befalls them. */
export class Cluster {
  readonly #timeline: Timeline;
  readonly #store: SimulatedStore;
  readonly #plan: Plan;
  readonly #told: Told;
  readonly #options: (process: Process) => TroupeOptions;
  readonly #slots: (Process | undefined)[];
  readonly #lives: number[];
  readonly all: Process[] = [];
  /** How often each kind of fault came about. */
  readonly befell = new Map<string, number>();
  #offset = 0;
  #healed = false;

  constructor(
    timeline: Timeline,
    store: SimulatedStore,
    plan: Plan,
    told: Told,
    options: (process: Process) => TroupeOptions,
  ) {
    this.#timeline = timeline;
    this.#store = store;
    this.#plan = plan;
    this.#told = told;
    this.#options = options;
    this.#slots = Array.from({ length: plan.processes }, () => undefined);
    this.#lives = this.#slots.map(() => 0);
  }

  /** Those that take what they are asked. */
  get serving(): Process[] {
    return this.#slots.filter((process) => process?.serves === true) as Process[];
  }

  begin(): void {
    for (const slot of this.#slots.keys()) this.#start(slot);
    for (const fault of this.#plan.faults) this.#timeline.after(fault.at, undefined, () => this.#befall(fault));
  }

  /** No more faults; whoever stands still goes on, every place has a process. */
  heal(): void {
    this.#healed = true;
    const { weather, bus } = this.#store;
    weather.errors.clear();
    weather.slow.clear();
    bus.duplicates.clear();
    for (const process of bus.deaf.keys()) this.#hears(process);
    for (const [slot, process] of this.#slots.entries()) {
      if (process === undefined || process.gone || process.closed) this.#start(slot);
      else this.#thaw(process);
    }
  }

  #start(slot: number): void {
    const life = (this.#lives[slot] = (this.#lives[slot] ?? 0) + 1);
    const name = `P${slot}.${life}`;
    const process = new Process(name, slot, this.#timeline, new Random(this.#plan.seed, name), this.#offset);
    this.#slots[slot] = process;
    this.all.push(process);
    this.#told.trace(`${name} starts`);
    this.#timeline.after(0, process, () => {
      createTroupe({
        backend: this.#store.factory(process),
        clock: process.clock,
        random: (bytes) => process.random.bytes(bytes),
        parkAfter: this.#plan.parkAfterMs,
        principal: 'sim',
        report: (error, where) => this.#told.report(process, error, where),
        ...this.#options(process),
      }).then(
        (troupe) => {
          process.troupe = troupe;
        },
        (error: unknown) => {
          this.#told.report(process, error, 'createTroupe');
          this.#end(process);
          this.#timeline.after(1_000, undefined, () => this.#again(slot));
        },
      );
    });
  }

  #again(slot: number): void {
    const process = this.#slots[slot];
    if (process === undefined || process.gone || process.closed) this.#start(slot);
  }

  #end(process: Process): void {
    process.gone = true;
    process.goneAt = this.#timeline.now;
  }

  #befall(fault: Fault): void {
    if (this.#healed) return;
    const process = 'slot' in fault ? this.#slots[fault.slot] : undefined;
    if ('slot' in fault && (process === undefined || process.gone || process.closed)) return;
    this.befell.set(fault.kind, (this.befell.get(fault.kind) ?? 0) + 1);
    this.#told.trace(`FAULT ${JSON.stringify(fault)}`);
    this.#strike(fault, process);
  }

  #strike(fault: Fault, process: Process | undefined): void {
    const { weather, bus } = this.#store;
    const later = (ms: number, then: () => void): void => void this.#timeline.after(ms, undefined, then);
    switch (fault.kind) {
      case 'crash':
        if (process !== undefined) this.#end(process);
        return later(fault.downMs, () => this.#again(fault.slot));
      case 'close':
        return this.#close(process, () => later(fault.downMs, () => this.#again(fault.slot)));
      case 'freeze':
        if (process === undefined || process.frozenUntil !== undefined) return;
        process.frozenAt = this.#timeline.now;
        process.frozenUntil = this.#timeline.now + fault.forMs;
        return later(fault.forMs, () => this.#thaw(process));
      case 'power': {
        for (const [slot, one] of this.#slots.entries()) {
          if (one !== undefined) this.#end(one);
          later(fault.downMs, () => this.#again(slot));
        }
        this.#store.operations.cutPower();
        return this.#told.lost(this.#store.disk.cut(fault.keeps));
      }
      case 'errors':
        weather.errors.set(fault.name, fault);
        return later(fault.forMs, () => weather.errors.delete(fault.name));
      case 'slow':
        weather.slow.set(fault.name, fault.upToMs);
        return later(fault.forMs, () => weather.slow.delete(fault.name));
      case 'deaf':
        if (process === undefined) return;
        bus.deaf.set(process, (bus.deaf.get(process) ?? 0) + 1);
        return later(fault.forMs, () => this.#hears(process));
      case 'duplicates':
        bus.duplicates.set(fault.name, fault.rate);
        return later(fault.forMs, () => bus.duplicates.delete(fault.name));
      case 'damage': {
        const seq = damage(this.#store.disk.journals.get(runId(fault.run)) ?? [], fault);
        return seq === undefined ? undefined : this.#told.damaged(fault.run, seq);
      }
      case 'newer':
        return this.#told.newer(fault.how);
      case 'jump':
        this.#offset = Math.abs(this.#offset + fault.byMs) > Math.abs(fault.byMs) ? 0 : this.#offset + fault.byMs;
    }
  }

  /** A last call of its own troupe, which lets go of its runs. */
  #close(process: Process | undefined, closed: () => void): void {
    const { troupe } = process ?? {};
    if (process === undefined || troupe === undefined || process.closing) return;
    process.closing = true;
    this.#timeline.after(0, process, () => {
      troupe.close().then(closed, (error: unknown) => {
        this.#told.report(process, error, 'close');
        this.#end(process);
        closed();
      });
    });
  }

  #thaw(process: Process): void {
    if (process.frozenUntil === undefined) return;
    process.frozenUntil = undefined;
    this.#store.bus.missed(process);
  }

  #hears(process: Process): void {
    this.#store.bus.deaf.delete(process);
    this.#store.bus.missed(process);
  }
}
