import type { Cost } from './entry.ts';
import type { Failure } from './exit.ts';
import type { ToolContext } from './spec.ts';

/** What an isolated call and its process say to each other; both are of the same release. */

export interface IsolatedCall {
  /** What the tool is called in messages. */
  tool: string;
  /** The URL of the file whose default export is called. */
  module: string;
  input: unknown;
  context: Omit<ToolContext, 'signal' | 'charge'>;
}

export type ToProcess =
  | { type: 'call'; call: IsolatedCall }
  | { type: 'abort' }
  /** What it charged was too much; it hears so when it charges again. */
  | { type: 'overspent'; error: Failure };

export type Answer = { type: 'succeeded'; output: unknown } | { type: 'failed'; error: Failure };

export type FromProcess =
  /** From now on nobody can say that the call was not performed. */
  { type: 'begins' } | { type: 'charge'; cost: Cost } | Answer;
