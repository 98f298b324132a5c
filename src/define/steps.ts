import type { z } from 'zod';
import type { Duration } from '../protocol/duration.ts';
import type { Effect } from '../protocol/entry.ts';
import type { AnyTool, OnFailure, PlanSpec, ToolContext } from '../protocol/spec.ts';
import type { Definition } from './durable.ts';
import type { RetryOptions } from './tool.ts';
import type { Toolbox } from './toolbox.ts';

/** What the compiler knows of a plan: which steps there are, what each may read, what they give, and which may be skipped. */

type Outputs = Record<string, unknown>;

declare const all: unique symbol;
/** Stands for an output that nobody has chosen: what the steps give, by name. */
export type All = typeof all;

/** A step that may be skipped may give nothing. */
type Given<Done, Maybe> = { [Name in keyof Done]: Name extends Maybe ? Done[Name] | undefined : Done[Name] };

// `any` stays what it is.
type Result<Output, Done, Maybe> = unknown extends Output
  ? Output
  : [Output] extends [All]
    ? Given<Done, Maybe>
    : Output;

/** The outputs of what a step needs, perhaps those of what it does not insist on, and the plan's input. */
type Scope<Input, Done, Needs extends keyof Done, Perhaps extends keyof Done> = {
  readonly [Name in Needs]: Done[Name];
} & { readonly [Name in Perhaps]: Done[Name] | undefined } & { readonly input: Input };

interface Waiting<Needs, Optional, AnyOf> {
  /** Steps that must be done before; it is skipped when one of them is. What is named in one of these three can be read. */
  needs?: readonly Needs[];
  /** Steps to wait for, whether they are done or skipped. */
  optional?: readonly Optional[];
  /** Begins with the first of these that is done. */
  anyOf?: readonly AnyOf[];
}
interface Deciding<Readable, Failing, Choice> {
  /** False: the step is skipped. Pure. */
  when?: (scope: Readable) => Choice;
  /** What a failed call comes to: the plan fails, the step counts as skipped, or as done without an output. With `each` it is decided for each call. `'fail'` by default. */
  onFailure?: Failing;
}
interface Once<Readable, Item> {
  /** What the call is given. Pure. */
  input: (scope: Readable) => Item;
}
interface Each<Readable, Item> {
  /** One call per item. The step's output is the list of theirs, in this order. Pure. */
  each: (scope: Readable) => readonly Item[];
  /** Of these calls, under way at once; 4 by default. */
  concurrency?: number;
}
interface Trying {
  /** In place of what the tool says. A function is tried once. */
  retry?: RetryOptions;
  /** Of one attempt, in place of what the tool says. */
  timeout?: Duration;
}
interface Acting extends Trying {
  /** What the function does to the world; `'idempotent'` by default. */
  effect?: Effect;
}

/** A tool or a plan. */
interface Callable<Input, Output> {
  readonly kind: 'tool' | 'plan';
  readonly types?: { input: (input: Input) => void; output: Output };
}

type One<Output, Failing> = Failing extends 'continue' ? Output | undefined : Output;
type Many<Output, Failing> = Failing extends 'continue' ? (Output | undefined)[] | undefined : Output[];

/** The step's name, if it may be skipped. */
type Skippable<Name, Waited, Maybe, Failing, Choice> = [Choice] extends [never]
  ? 'skip' extends Failing
    ? Name
    : [Extract<Waited, Maybe>] extends [never]
      ? never
      : Name
  : Name;

type Options<
  Input,
  Done,
  Needs extends keyof Done,
  Optional extends keyof Done,
  AnyOf extends keyof Done,
  Failing,
  Choice,
> = Waiting<Needs, Optional, AnyOf> & Deciding<Scope<Input, Done, Needs, Optional | AnyOf>, Failing, Choice>;

type Next<Input, Done extends Outputs, Output, Maybe, Name extends string, Result, Waited, Failing, Choice> = Plan<
  Input,
  Done & Record<Name, Result>,
  Output,
  Maybe | Skippable<Name, Waited, Maybe, Failing, Choice>
>;

/** Steps, each a call of a tool, a plan or a function (or one per item of a list), begun as soon as what they need is there. */
export interface Plan<Input = unknown, Done extends Outputs = Outputs, Output = All, Maybe = never> extends Definition<
  Input,
  Result<Output, Done, Maybe>
> {
  readonly kind: 'plan';
  readonly spec: PlanSpec;
  readonly inputSchema: z.ZodType<Input> | undefined;
  /** Its spec is data, which is stored with each run. */
  readonly parsed: boolean;
  readonly tools: Toolbox;
  /** Plans that its steps call, by name. */
  readonly plans: ReadonlyMap<string, AnyPlan>;
  /** Functions that its steps call, as tools, by step. */
  readonly functions: ReadonlyMap<string, AnyTool>;

  step<
    const Name extends string,
    CallInput,
    CallOutput,
    Needs extends keyof Done = never,
    Optional extends keyof Done = never,
    AnyOf extends keyof Done = never,
    Failing extends OnFailure = 'fail',
    Choice extends boolean = never,
  >(
    name: Name,
    call: Callable<CallInput, CallOutput>,
    options: Options<Input, Done, Needs, Optional, AnyOf, Failing, Choice> &
      Each<Scope<Input, Done, Needs, Optional | AnyOf>, CallInput> &
      Trying,
  ): Next<Input, Done, Output, Maybe, Name, Many<CallOutput, Failing>, Needs | AnyOf, Failing, Choice>;

  step<
    const Name extends string,
    CallInput,
    CallOutput,
    Needs extends keyof Done = never,
    Optional extends keyof Done = never,
    AnyOf extends keyof Done = never,
    Failing extends OnFailure = 'fail',
    Choice extends boolean = never,
  >(
    name: Name,
    call: Callable<CallInput, CallOutput>,
    ...options: Record<never, never> extends CallInput
      ? [
          (Options<Input, Done, Needs, Optional, AnyOf, Failing, Choice> &
            Trying &
            Partial<Once<Scope<Input, Done, Needs, Optional | AnyOf>, CallInput>>)?,
        ]
      : [
          Options<Input, Done, Needs, Optional, AnyOf, Failing, Choice> &
            Trying &
            Once<Scope<Input, Done, Needs, Optional | AnyOf>, CallInput>,
        ]
  ): Next<Input, Done, Output, Maybe, Name, One<CallOutput, Failing>, Needs | AnyOf, Failing, Choice>;

  /** A function of yours, which may be asynchronous and act on the world; give its item a type. */
  step<
    const Name extends string,
    Item,
    CallOutput,
    Needs extends keyof Done = never,
    Optional extends keyof Done = never,
    AnyOf extends keyof Done = never,
    Failing extends OnFailure = 'fail',
    Choice extends boolean = never,
  >(
    name: Name,
    call: (item: Item, context: ToolContext) => CallOutput,
    options: Options<Input, Done, Needs, Optional, AnyOf, Failing, Choice> &
      Each<Scope<Input, Done, Needs, Optional | AnyOf>, Item> &
      Acting,
  ): Next<Input, Done, Output, Maybe, Name, Many<Awaited<CallOutput>, Failing>, Needs | AnyOf, Failing, Choice>;

  /** A function of yours, which may be asynchronous and act on the world; it is given what the step may read. */
  step<
    const Name extends string,
    CallOutput,
    Needs extends keyof Done = never,
    Optional extends keyof Done = never,
    AnyOf extends keyof Done = never,
    Failing extends OnFailure = 'fail',
    Choice extends boolean = never,
  >(
    name: Name,
    call: (scope: Scope<Input, Done, Needs, Optional | AnyOf>, context: ToolContext) => CallOutput,
    options?: Options<Input, Done, Needs, Optional, AnyOf, Failing, Choice> & Acting,
  ): Next<Input, Done, Output, Maybe, Name, One<Awaited<CallOutput>, Failing>, Needs | AnyOf, Failing, Choice>;

  /** The plan with another output: what this makes of its input and of the outputs of the steps that are done. Pure. */
  output<Chosen>(
    choose: (outputs: Readonly<Given<Done, Maybe>> & { readonly input: Input }) => Chosen,
  ): Plan<Input, Done, Chosen, Maybe>;
}

// Inputs and outputs differ, so only `any` stands for all plans.
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyPlan = Plan<any, any, any, any>;
