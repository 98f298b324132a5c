import { fromPromise, setup } from 'xstate';
import { durable, type DurableDefinition, type Effect } from '../../src/index.ts';

/** A run of one call that never ends by itself, and counts. */
export class Working {
  begun = 0;
  aborted = 0;
  /** Told as the call begins. */
  onBegin: (() => void) | undefined;

  get running(): number {
    return this.begun - this.aborted;
  }

  definition(effect: Effect = 'idempotent', version = '1') {
    const work = fromPromise<unknown>(({ signal }) => {
      this.begun += 1;
      signal.addEventListener('abort', () => (this.aborted += 1));
      this.onBegin?.();
      return new Promise<never>(() => {});
    });
    const machine = setup({ actors: { work } }).createMachine({
      initial: 'working',
      states: {
        working: { invoke: { src: 'work', onDone: 'done' }, after: { 60_000: 'late' } },
        late: {},
        done: { type: 'final' },
      },
    });
    return durable(machine, { name: 'working', version, effects: { work: effect } }) satisfies DurableDefinition;
  }
}
