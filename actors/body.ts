import { createHash } from 'node:crypto';
import type { AnyStateMachine } from 'xstate';
import { runMachine } from '../machines/run.ts';
import type { AnyDefinition } from '../src/define/definition.ts';
import { planFromSpec, type Plan } from '../src/define/plan.ts';
import type { Toolbox } from '../src/define/toolbox.ts';
import { ToolNotFoundError } from '../src/protocol/errors.ts';
import type { Module, PlanSpec } from '../src/protocol/spec.ts';
import { ModuleActor } from './module.ts';
import { planActor } from './plan.ts';
import type { Body } from './run.ts';
import { toolActor } from './tool.ts';

export interface Resolved extends Body {
  /** Of the body's chart. */
  readonly chart: string;
}

/** Definitions as bodies that can run, each made once; modules are shared by all of them. */
export class Bodies {
  readonly #made = new WeakMap<AnyDefinition, Resolved>();
  readonly #modules = new Map<Module, ModuleActor>();

  of(definition: AnyDefinition): Resolved {
    const known = this.#made.get(definition);
    if (known !== undefined) return known;
    const made = this.#make(definition);
    this.#made.set(definition, made);
    return made;
  }

  /** A parsed plan, from what was stored with its run. @throws ToolNotFoundError */
  ofSpec(spec: PlanSpec, tools: Toolbox): Resolved {
    return this.#make(planFromSpec(spec, tools));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#modules.values()].map((module) => module.stop()));
  }

  #make(definition: AnyDefinition): Resolved {
    switch (definition.kind) {
      case 'durable':
        return resolved(definition.machine, false, definition.effects);
      case 'tool':
        return resolved(toolActor(definition), true);
      case 'plan':
        return resolved(
          planActor(definition.spec, (id) => this.#toolOf(definition, id)),
          true,
        );
    }
  }

  #toolOf({ spec, tools }: Plan, id: string): AnyStateMachine {
    const known = tools.get(id);
    if (known === undefined)
      throw new ToolNotFoundError(
        `Plan ${spec.name} calls ${id}, which is no tool known here; give it to createTroupe({ tools }).`,
        { tool: id, closest: [...tools.keys()] },
      );
    const { tool, module } = known;
    return toolActor(tool, {
      grants: spec.grants,
      ...(module && { module: { name: module.name, actor: this.#moduleOf(module) } }),
    });
  }

  #moduleOf(module: Module): ModuleActor {
    let actor = this.#modules.get(module);
    if (actor === undefined) this.#modules.set(module, (actor = new ModuleActor(module)));
    return actor;
  }
}

const resolved = (body: AnyStateMachine, exits: boolean, effects: Body['effects'] = {}): Resolved => ({
  machine: runMachine.provide({ actors: { body } }),
  exits,
  effects,
  chart: hashOf(body),
});

/** Two charts of one hash take the same transitions, functions aside. */
const hashOf = ({ config }: AnyStateMachine): string =>
  createHash('sha256')
    .update(
      JSON.stringify(config, (_, value: unknown) =>
        typeof value === 'function' ? `function ${value.name}` : typeof value === 'bigint' ? `${value}n` : value,
      ),
    )
    .digest('hex')
    .slice(0, 16);
