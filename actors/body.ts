import { createHash } from 'node:crypto';
import type { AnyStateMachine } from 'xstate';
import { runMachine } from '../machines/run.ts';
import type { Clock } from '../src/clock.ts';
import type { AnyDefinition } from '../src/define/definition.ts';
import type { DurableDefinition } from '../src/define/durable.ts';
import { planFromSpec } from '../src/define/plan.ts';
import type { Toolbox } from '../src/define/toolbox.ts';
import type { Module, PlanSpec } from '../src/protocol/spec.ts';
import { ModuleActor } from './module.ts';
import { planActor } from './plan.ts';
import type { Migration } from './owner.ts';
import type { Body } from './run/ports.ts';
import { toolActor } from './tool.ts';

export interface Resolved extends Body {
  readonly definition: string;
  readonly version: string;
  /** Hash of the body's chart. */
  readonly chart: string;
  /** The version before, and how a run gets from it to this one. */
  readonly migration: { readonly from: Resolved; readonly input: Migration['input'] } | undefined;
}

/** The body a run was begun with, as far as it is known, and the way from it to the one of today. */
export function wayFrom(
  { version, chart }: { version: string; chart: string },
  today: Resolved,
): { body: Resolved; migrations: Migration[] } {
  const all: Resolved[] = [];
  for (let body: Resolved | undefined = today; body !== undefined; body = body.migration?.from) all.push(body);
  const at = [
    all.findIndex((body) => body.version === version && body.chart === chart),
    all.findIndex((body) => body.version === version),
    all.findIndex((body) => body.chart === chart),
    // Nobody knows it: the fold decides whether today's fits.
    0,
  ].find((index) => index >= 0);
  const later = all.slice(0, at).toReversed();
  const migrations = later.flatMap((to) => (to.migration === undefined ? [] : { to, input: to.migration.input }));
  return { body: all[at ?? 0] ?? today, migrations };
}

/** Definitions as bodies that can run, each made once; modules are shared by all of them. */
export class Bodies {
  readonly #made = new WeakMap<AnyDefinition, Resolved>();
  readonly #modules = new Map<Module, ModuleActor>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(definition: AnyDefinition): Resolved {
    const known = this.#made.get(definition);
    if (known !== undefined) return known;
    const made = this.#make(definition);
    this.#made.set(definition, made);
    return made;
  }

  /** A parsed plan, from what was stored with its run; plans that it calls by name are among `definitions`. @throws ToolNotFoundError, NotFoundError */
  ofSpec(spec: PlanSpec, tools: Toolbox, definitions: ReadonlyMap<string, AnyDefinition>): Resolved {
    const same = definitions.get(spec.name);
    const plans = new Map(same?.kind === 'plan' ? same.plans : []);
    for (const [name, known] of definitions) if (known.kind === 'plan') plans.set(name, known);
    return this.#make(planFromSpec(spec, tools, plans));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#modules.values()].map((module) => module.stop()));
  }

  #make(definition: AnyDefinition): Resolved {
    switch (definition.kind) {
      case 'durable':
        return this.#durable(definition);
      case 'tool':
        return resolved(definition.name, '1', toolActor(definition), { exits: true });
      case 'plan': {
        const machine = planActor(definition, (module) => this.#moduleOf(module));
        return resolved(definition.name, definition.version, machine, { exits: true });
      }
    }
  }

  #durable({ name, version, machine, effects, costs, continueAs, migrate }: DurableDefinition): Resolved {
    const migration = migrate && { from: this.of(migrate.from), input: migrate.to };
    return resolved(name, version, machine, { effects, costs, continueAs, migration });
  }

  #moduleOf(module: Module): ModuleActor {
    let actor = this.#modules.get(module);
    if (actor === undefined) this.#modules.set(module, (actor = new ModuleActor(module, this.#clock)));
    return actor;
  }
}

const resolved = (
  definition: string,
  version: string,
  body: AnyStateMachine,
  { exits = false, effects = {}, costs = {}, continueAs, migration }: Partial<Omit<Resolved, 'definition' | 'version'>>,
): Resolved => ({
  definition,
  version,
  chart: hashOf(body),
  machine: runMachine.provide({ actors: { body } }),
  exits,
  effects,
  costs,
  continueAs,
  migration,
});

/** Two charts of one hash take the same transitions, functions aside. */
const hashOf = ({ config }: AnyStateMachine): string =>
  createHash('sha256').update(textOf(config)).digest('hex').slice(0, 16);

function textOf(config: object): string {
  const plain = (_: string, value: unknown): unknown =>
    typeof value === 'function' ? `function ${value.name}` : typeof value === 'bigint' ? `${value}n` : value;
  try {
    return JSON.stringify(config, plain);
  } catch {
    // A context may be as deep as it likes, or refer to itself.
    return JSON.stringify({ ...config, context: undefined }, plain);
  }
}
