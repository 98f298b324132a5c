import { hash } from 'node:crypto';
import { fromPromise, type AnyActorRef, type StateMachine } from 'xstate';
import { allowed } from '../machines/policy/allowlist.ts';
import { toolMachine, type AttemptInput } from '../machines/tool.ts';
import { toData } from '../src/codec.ts';
import { costOf, limitsOf } from '../src/protocol/amount.ts';
import { listOf, ONE_TOOL, TEXT } from '../src/define/expected.ts';
import { checkedOptions, mustBe, type Known } from '../src/define/options.ts';
import { accepts } from '../src/define/schema.ts';
import type { InputOf, OutputOf } from '../src/options.ts';
import type { Cost } from '../src/protocol/entry.ts';
import { NotAllowedError } from '../src/protocol/errors.ts';
import type { Exit } from '../src/protocol/exit.ts';
import { qualified, type AnyTool, type RetrySpec } from '../src/protocol/spec.ts';
import { judge } from './judging.ts';
import { declareLeaf, type Leaf } from './leaf.ts';
import { poolOf, type ModuleActor } from './module.ts';
import { parsed } from './parsed.ts';
import { inProcess } from './process.ts';
import { addressOf, callOf, charge, inputOnRecord, tracked } from './self.ts';
import { told } from './told.ts';

/** Whose call it is: what it may reach, and the module it goes through. */
export interface Caller {
  /** Undefined where the author has wired the tool into a machine by hand. */
  grants?: readonly string[];
  module?: { name: string; actor: ModuleActor };
  /** What one step asks for instead of what the tool says of itself. */
  timeoutMs?: number | undefined;
  retry?: Partial<RetrySpec> | undefined;
}

const CALLER: Known<Caller> = { grants: listOf(TEXT), module: true, timeoutMs: true, retry: true };

const keyOf = (run: string, call: string): string => hash('sha256', `${run}/${call}`, 'base64url').slice(0, 32);

/** For a plain source of a durable machine: the same each time this call of this run is begun, and for no other call. */
export function idempotencyKey(self: AnyActorRef): string {
  const { run, key } = addressOf(self);
  return keyOf(run, key);
}

/** As a machine sees it: it is given what the tool takes, and its output is an `Exit` with what the tool gives. */
export type ToolActor<T> =
  ReturnType<typeof toolMachine> extends StateMachine<
    infer Context,
    infer Event,
    infer Children,
    infer Actor,
    infer Action,
    infer Guard,
    infer Delay,
    infer Value,
    infer Tag,
    unknown,
    Exit,
    infer Emitted,
    infer Meta,
    infer Schema
  >
    ? StateMachine<
        Context,
        Event,
        Children,
        Actor,
        Action,
        Guard,
        Delay,
        Value,
        Tag,
        InputOf<T>,
        Exit<OutputOf<T>>,
        Emitted,
        Meta,
        Schema
      >
    : never;

/** The statechart of a tool's calls with its effect: an actor source for any machine. */
export function toolActor<T extends AnyTool>(tool: T, caller: Caller = {}): ToolActor<T> {
  mustBe(tool, ONE_TOOL, 'What toolActor() makes a source of', 'tool');
  // A border: what a tool takes and gives, its types say.
  return chartOf(tool, checkedOptions(caller, CALLER, 'toolActor()')) as unknown as ToolActor<T>;
}

function chartOf(tool: AnyTool, caller: Caller) {
  const { effect, inputSchema, outputSchema, cost, approval } = tool;
  const id = qualified(caller.module?.name, tool.name);
  const pool = caller.module?.actor ?? poolOf(tool);
  const attempt = fromPromise<unknown, AttemptInput>(async ({ input, signal, self }) => {
    const { run, key } = callOf(self);
    const context = {
      signal,
      idempotencyKey: keyOf(run, key),
      attempt: input.attempt,
      run,
      call: key,
      charge: (more: Cost) => charge(self, more),
    };
    try {
      // Within the attempt, which a fold does not repeat; where it may need approval, on record before it (`judging.ts`).
      const made = approval === undefined ? await parsed(inputSchema, input.input, 'input', id) : judgedOf(self, input);
      const given =
        tool.process === undefined ? tool.execute(made, context) : inProcess(id, tool.process, made, context);
      const output = await (given instanceof Promise ? tracked(self, given) : given);
      return outputSchema === undefined ? output : await parsed(outputSchema, output, `output of ${id}`, id);
    } catch (error) {
      throw told(error);
    }
  });
  declareLeaf(attempt, {
    effect,
    tool: {
      id,
      attempt: (leaf) => attemptOf(leaf).attempt,
      accepts: (output) => accepts(outputSchema, output),
    },
    ...(cost && { costs: (leaf) => limitsOf(costOf(cost(attemptOf(leaf).input), `cost of ${id}`)) }),
    admit: () => {
      if (caller.grants !== undefined && !allowed(caller.grants, id))
        throw new NotAllowedError(
          `Tool ${id} may not be called from here; allowed: ${caller.grants.join(', ') || 'none'}. Add it to the allowlist of the module or plan.`,
          {
            tool: id,
            allowed: caller.grants,
          },
        );
      return pool?.admit(tool.name);
    },
  });
  const chart = toolMachine({
    id,
    effect,
    timeoutMs: caller.timeoutMs ?? tool.timeoutMs,
    retry: { ...tool.retry, ...caller.retry },
    seed: (self) => seedOf(self as AnyActorRef),
    isJudged: approval !== undefined,
    approvalTimeoutMs: approval?.timeoutMs ?? 0,
  }).provide({
    actors: { attempt },
    actions: {
      reportTimeout: ({ context }) => pool?.overdue(context.error),
      ...(approval && {
        judge: ({ context, self }) =>
          judge(self as AnyActorRef, context.input, { tool: id, spec: approval, inputSchema }),
      }),
    },
  });
  return approval === undefined ? chart : frozen(chart);
}

/** Whoever is shown a context of it can put nothing else in its place: what is in there is kept (`machines/kept.ts`). */
function frozen<T extends ReturnType<typeof toolMachine>>(chart: T): T {
  const own: Pick<T, 'transition' | 'getInitialSnapshot'> = {
    transition: (...given) => withFrozen(chart.transition(...given)),
    getInitialSnapshot: (...given) => withFrozen(chart.getInitialSnapshot(...given)),
  };
  return Object.assign(Object.create(chart) as T, own);
}

function withFrozen<S extends { context: object }>(snapshot: S): S {
  Object.freeze(snapshot.context);
  return snapshot;
}

/** What was judged, for the tool to do with as it likes. The attempt's own input is shown to inspectors before it begins. */
const judgedOf = (self: AnyActorRef, given: AttemptInput): unknown =>
  toData(((inputOnRecord(self) ?? given) as AttemptInput).parsed, 'input');

/** The border: what the chart of a tool gives each attempt of a call. */
const attemptOf = ({ input }: Leaf): AttemptInput => input as AttemptInput;

const seedOf = (self: AnyActorRef): string => {
  const { run, key } = addressOf(self);
  return `${run}/${key}`;
};
