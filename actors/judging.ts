import { hash } from 'node:crypto';
import type { AnyActorRef } from 'xstate';
import type { z } from 'zod';
import type { Judgement } from '../machines/tool.ts';
import { asFailure, encode, toData } from '../src/codec.ts';
import { ValidationError } from '../src/protocol/errors.ts';
import { forsake } from '../src/protocol/forsaken.ts';
import { text } from '../src/protocol/shown.ts';
import type { ApprovalSpec } from '../src/protocol/spec.ts';
import { isRunning } from './durable.ts';
import { parsedOnce } from './parsed.ts';
import { addressOf, tracked } from './self.ts';
import { told } from './told.ts';

/**
 * What a call that may need approval comes to, before anything of it begins.
 *
 * J1. Its input is parsed once. What comes of that is recorded; it is what is judged, shown, hashed, and what `execute` is given: in a fold, after a
 *     crash and in a fork nothing is parsed or judged again.
 * J2. What the schema refuses, and what cannot be kept of what it makes, never begins.
 * J3. A question that throws is answered by a person.
 */
export interface Judged {
  tool: string;
  spec: ApprovalSpec;
  inputSchema: z.ZodType;
}

/** Says it to the call itself: at once where the schema need not wait. */
export function judge(self: AnyActorRef, input: unknown, judged: Judged): void {
  const { tool, inputSchema } = judged;
  let asked: ReturnType<typeof parsedOnce>;
  try {
    asked = parsedOnce(inputSchema, input, 'input', tool);
  } catch (error) {
    return self.send(refused(told(error)));
  }
  if (!(asked instanceof Promise)) return self.send(judgement(self, asked.made, judged));
  const said = asked.then(
    ({ made }) => judgement(self, made, judged),
    (error: unknown) => refused(told(error)),
  );
  void tracked(
    self,
    said.then((judgement) => isRunning(self) && self.send(judgement)),
  );
}

const refused = (error: unknown): Judgement => ({
  type: 'troupe.judged',
  error: { ...asFailure(error), notPerformed: true },
});

function judgement(self: AnyActorRef, made: unknown, { tool, spec }: Judged): Judgement {
  let data: unknown;
  try {
    data = toData(made, 'input');
  } catch (error) {
    const why = error instanceof Error ? error.message : text(error);
    return refused(
      new ValidationError(
        `Tool ${tool} may need approval, and what its input schema makes of the input cannot be kept (${why}); let the schema make data.`,
        { tool },
        error,
      ),
    );
  }
  if (!isNeeded(spec, data)) return { type: 'troupe.judged', parsed: data, approval: null };
  const { run, key: call } = addressOf(self);
  const bound = hash('sha256', encode([tool, sorted(data), run, call]), 'hex');
  const approval = { run, call, tool, hash: bound, approvers: spec.approvers };
  return { type: 'troupe.judged', parsed: data, approval };
}

/** J3. Anything but a plain no is a yes. */
function isNeeded({ needed }: ApprovalSpec, data: unknown): boolean {
  try {
    // Of its own: what is asked may change what it is given.
    const answer: unknown = needed(toData(data, 'input'));
    forsake(answer);
    return answer !== false;
  } catch {
    return true;
  }
}

/** With the keys of its plain objects in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
}
