import type { Clock } from '../src/clock.ts';
import { toData } from '../src/codec.ts';
import type { AnyDefinition } from '../src/define/definition.ts';
import { DEFINITION } from '../src/define/expected.ts';
import { checkedInput } from '../src/define/input.ts';
import { mustBe } from '../src/define/options.ts';
import type { Toolbox } from '../src/define/toolbox.ts';
import type { Beginning, EntryEvents } from '../src/protocol/entry.ts';
import { DefinitionChangedError, ValidationError } from '../src/protocol/errors.ts';
import type { PlanSpec } from '../src/protocol/spec.ts';
import { Bodies, type Resolved } from './body.ts';
import { definitionsOf } from './child.ts';
import type { Begins } from './children.ts';

/** What may run in this process: the definitions it was given, each name once, and all that these may begin runs of. */
export class Definitions {
  readonly #bodies: Bodies;
  readonly #tools: Toolbox;
  readonly #known = new Map<string, AnyDefinition>();

  /** `tools`: from which parsed plans are rebuilt. */
  constructor(clock: Clock, tools: Toolbox) {
    this.#bodies = new Bodies(clock);
    this.#tools = tools;
  }

  /** @throws ValidationError */
  add(definition: AnyDefinition): void {
    this.mustBeOnly(definition);
    if (this.#known.get(definition.name) === definition) return;
    this.#known.set(definition.name, definition);
    // What it may begin runs of is recovered here, too.
    if (definition.kind === 'durable') for (const child of definitionsOf(definition.machine)) this.add(child);
  }

  /** @throws ValidationError */
  mustBeOnly(definition: AnyDefinition): void {
    mustBeDefinition(definition);
    const known = this.#known.get(definition.name);
    if (known !== undefined && known !== definition && !(known.kind === 'plan' && known.parsed))
      throw new ValidationError(`Two definitions are named ${definition.name}; rename one.`, {
        definition: definition.name,
      });
  }

  /** Given or not. @throws ValidationError */
  bodyOf(definition: AnyDefinition): Resolved {
    mustBeDefinition(definition);
    return this.#bodies.of(definition);
  }

  /** What its runs begin with. @throws ValidationError */
  begins(definition: AnyDefinition, input: unknown): { body: Resolved; begins: Begins } {
    this.add(definition);
    const body = this.bodyOf(definition);
    const { spec, ...what } = whatOf(definition, body);
    return { body, begins: { ...what, input: toData(checked(definition, input), 'input'), spec } };
  }

  /** It was given one of this name, and its chart is that one. */
  knows(name: string, chart: string): boolean {
    const definition = this.#known.get(name);
    return definition !== undefined && this.bodyOf(definition).chart === chart;
  }

  /** @throws DefinitionChangedError when it was not given what the run is of */
  begunAs({ run, event }: Beginning): Resolved {
    if (event.spec !== null)
      return this.#bodies.ofSpec(event.spec as PlanSpec, this.#toolsOf(event.definition), this.#known);
    const definition = this.#known.get(event.definition);
    if (definition !== undefined) return this.bodyOf(definition);
    throw new DefinitionChangedError(
      `Run ${run} is of ${event.definition} ${event.version}, which this process was not given; add it to createTroupe({ definitions }).`,
      { run, definition: event.definition, version: event.version },
    );
  }

  #toolsOf(name: string): Toolbox {
    const definition = this.#known.get(name);
    return definition?.kind === 'plan' ? new Map([...this.#tools, ...definition.tools]) : this.#tools;
  }

  async stop(): Promise<void> {
    await this.#bodies.stop();
  }
}

/** Whoever has no types to hold him back is told here. @throws ValidationError */
export const mustBeDefinition = (given: AnyDefinition): void =>
  mustBe(given, DEFINITION, 'What a run is of', 'definition');

/** What a run is of. */
export const whatOf = (
  given: AnyDefinition,
  { definition, version, chart }: Resolved,
): Pick<EntryEvents['run.created'], 'definition' | 'version' | 'chart' | 'spec'> => ({
  definition,
  version,
  chart,
  spec: given.kind === 'plan' && given.parsed ? toData(given.spec) : null,
});

function checked(definition: AnyDefinition, input: unknown): unknown {
  // A tool's own machine reports its input; a plan's is refused here.
  if (definition.kind !== 'plan' || definition.inputSchema === undefined) return input;
  return checkedInput(definition.name, definition.inputSchema, input);
}
