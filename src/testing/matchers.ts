import { inspect } from 'node:util';
import type { AnyDefinition } from '../define/definition.ts';
import { DEFINITION } from '../define/expected.ts';
import { mustBe } from '../define/options.ts';
import { ReplayDivergenceError } from '../protocol/errors.ts';
import { importRun, type RunFixture } from './fixture.ts';

/** What a matcher of vitest, or of whatever has its `expect.extend`, gives back. */
interface Matched {
  pass: boolean;
  message: () => string;
  actual?: unknown;
  expected?: unknown;
}

/** For vitest's types: `declare module 'vitest' { interface Matchers<R extends void | Promise<void>, T> extends TroupeMatchers {} }`. */
export interface TroupeMatchers {
  /** Of a fixture: folds it with this definition, nothing executed; it must take every entry and end as the run did. */
  toReplay(definition: AnyDefinition): Promise<void>;
}

/** `expect.extend(troupeMatchers)`, then `await expect(fixture).toReplay(definition)`. */
export const troupeMatchers = {
  async toReplay(fixture: RunFixture, definition: AnyDefinition): Promise<Matched> {
    mustBe(definition, DEFINITION, 'What toReplay() is given', 'definition');
    // A fixture that cannot be read is neither.
    const { entries, run, replay } = await importRun(fixture);
    const called = `run ${run} (${fixture.definition} ${fixture.version}) to replay with ${definition.name}`;
    try {
      await replay(definition);
      return { pass: true, message: () => `expected ${called} not, and it does: ${entries.length} entries` };
    } catch (error) {
      if (!(error instanceof ReplayDivergenceError)) throw error;
      const { seq, expected, got } = error.context as { seq: number; expected: unknown; got: unknown };
      const { type, target } = entries[seq - 1] ?? { type: '?', target: '?' };
      const shown = (value: unknown): string => inspect(value, { depth: 5 });
      const message = (): string =>
        `expected ${called}, and entry ${seq} (${type} for '${target}') does not fit\n\nrecorded: ${shown(expected)}\nmachine:  ${shown(got)}`;
      return { pass: false, message, actual: got, expected };
    }
  },
};
