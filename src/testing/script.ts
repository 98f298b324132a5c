import { LIST } from '../define/expected.ts';
import { mustBe } from '../define/options.ts';
import { ValidationError } from '../protocol/errors.ts';

/** An answer of a script: never comes, and fails with the reason of the signal once that aborts. */
export const hang: unique symbol = Symbol('hang');

/** What a promise source's creator is given. */
interface Arguments<Input> {
  input: Input;
  signal: AbortSignal;
}
interface Aborting {
  signal: AbortSignal;
}

/** A value, an Error to throw, `hang`, or a function that gives or throws; `context` is what whoever calls gives besides the input. */
export type Answer<Input, Output> =
  | Output
  | Error
  | typeof hang
  | ((input: Input, context: Aborting) => Output | Promise<Output>);

export interface Script<Input, Output> {
  /** As the creator of a promise source: `fromPromise(script([…]))`. */
  (given: Arguments<Input>): Promise<Output>;
  /** As the `execute` of a tool, or whatever else takes an input and what goes with it. */
  (input: Input, context: Aborting): Promise<Output>;
  /** What it was called with, in order; a call that found no answer left is not there. */
  readonly calls: readonly { readonly input: Input; readonly context: Aborting }[];
  /** Answers that nobody has had yet. */
  readonly left: number;
}

/**
 * Stands in for what touches the world: gives the answers in order, one a call, and records its calls.
 * A call beyond the last answer rejects with a ValidationError that says so, which no tool is tried again for.
 */
export function script<Output, Input = unknown>(answers: readonly Answer<Input, Output>[]): Script<Input, Output> {
  mustBe(answers, LIST, 'What script() answers', 'answers');
  const calls: { input: Input; context: Aborting }[] = [];
  // A border: called with one argument, it stands for a promise source's creator.
  const answered = async (given: unknown, beside?: Aborting): Promise<Output> => {
    const context = beside ?? (given as Arguments<Input>);
    const input = beside === undefined ? (given as Arguments<Input>).input : (given as Input);
    const index = calls.length;
    if (index >= answers.length)
      throw new ValidationError(
        `This script has ${answers.length} answers and was asked for another; give it one more, or see why it is called again.`,
        { answers: answers.length },
      );
    calls.push({ input, context });
    return answerOf(answers[index] as Answer<Input, Output>, input, context);
  };
  return Object.defineProperties(answered as typeof answered & Pick<Script<Input, Output>, 'calls' | 'left'>, {
    calls: { value: calls },
    left: { get: () => answers.length - calls.length },
  });
}

function answerOf<Input, Output>(
  answer: Answer<Input, Output>,
  input: Input,
  context: Aborting,
): Output | Promise<Output> {
  if (answer === hang) return hanging(context.signal);
  if (answer instanceof Error) throw answer;
  if (isFunction(answer)) return answer(input, context);
  return answer;
}

// Of the four kinds of answer only this one is called.
const isFunction = <Input, Output>(
  answer: Answer<Input, Output>,
): answer is (input: Input, context: Aborting) => Output | Promise<Output> => typeof answer === 'function';

const hanging = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const end = (): void => reject(signal.reason as Error);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
