import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runId } from '../../../../src/protocol/ids.ts';
import type { Subject } from '../../../../src/protocol/subject.ts';
import { append, newDir, open } from './directory.ts';

const now = (): number => performance.timeOrigin + performance.now();
const bytes = (text: string): Uint8Array => Buffer.from(text);

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Infinity;

/** Another process, and when it was told of what. */
class Peer {
  readonly #told = new Map<string, number>();
  readonly #awaited = new Map<string, (at: number) => void>();
  readonly #child;

  constructor(dir: string) {
    const script = fileURLToPath(new URL('peer.ts', import.meta.url));
    this.#child = spawn(process.execPath, ['--conditions=troupe-source', script, dir, 'peer'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const [, what = '', at] = /^(.*) ([\d.]+)$/.exec(line) ?? [];
      this.#told.set(what, Number(at));
      this.#awaited.get(what)?.(Number(at));
    });
  }

  /** When it was told of it: now or later. */
  async told(what: string): Promise<number> {
    return this.#told.get(what) ?? new Promise((resolve) => void this.#awaited.set(what, resolve));
  }

  async end(): Promise<void> {
    this.#child.stdin.end('end');
    expect(await once(this.#child, 'close')).toEqual([0, null]);
  }
}

describe('another process', () => {
  it('is told of entries, facts, signals and work within 200 ms, and answers', async () => {
    const dir = newDir();
    const backend = await open(dir);
    const peer = new Peer(dir);
    await peer.told('ready now');
    const took: Record<string, number[]> = { journal: [], registry: [], bus: [], queue: [], answer: [] };
    const timed = async (kind: string, what: string, act: () => Promise<unknown>): Promise<void> => {
      const begun = now();
      await act();
      const told = await peer.told(`${kind} ${what}`);
      took[kind]?.push(told - begun);
    };
    for (let n = 1; n <= 9; n += 1) {
      await timed('journal', `${n}`, () => append(backend, 1, n - 1, runId('shared')));
      await timed('registry', `${n}`, () => backend.registry.put('fact.a', n));
      await timed('bus', `${n}`, () => backend.bus.publish('signal.a' as Subject, bytes(`${n}`)));
      await timed('queue', `item-${n}`, () => backend.queue.enqueue('work', `item-${n}`, bytes('')));
      const begun = now();
      await backend.bus.request('signal.b' as Subject, bytes(`asked ${n}`), { timeoutMs: 10_000 });
      took['answer']?.push(now() - begun);
    }
    await timed('registry', 'fact.a gone', () => backend.registry.delete('fact.a'));
    // The machine may stand still for a moment; the median says what a poll does. An answer goes there and back.
    const { answer, ...told } = took;
    for (const [kind, values] of Object.entries(told)) expect(median(values), kind).toBeLessThan(200);
    expect(median(answer ?? [])).toBeLessThan(400);
    await peer.end();
    await backend.close();
  }, 60_000);

  it('that only watches is not kept alive by it', async () => {
    const dir = newDir();
    const script = `
      const { embedded } = await import(${JSON.stringify(new URL('../../../../src/backends/embedded/index.ts', import.meta.url).href)});
      const { systemClock } = await import(${JSON.stringify(new URL('../../../../src/clock.ts', import.meta.url).href)});
      for (const factory of [embedded(), embedded({ dir: ${JSON.stringify(dir)} })]) {
        const { bus, journal, queue, registry } = await factory.open({ owner: 'watcher', clock: systemClock() });
        journal.watch('run', () => {}); registry.watch('', () => {}); queue.watch('q', () => {});
        bus.subscribe('a', { message() {} });
        await queue.enqueue('q', 'item', new Uint8Array()); await queue.claim('q', { leaseMs: 60_000 });
      }`;
    const child = spawn(process.execPath, ['--conditions=troupe-source', '--input-type=module', '-e', script], {
      stdio: 'inherit',
    });
    expect(await once(child, 'close')).toEqual([0, null]);
    // It did not close, so it left its owner's file; the next one to come removes it.
    expect(readdirSync(join(dir, 'owners'))).toEqual(['watcher.db']);
    const backend = await open(dir);
    expect(readdirSync(join(dir, 'owners'))).toEqual([`${backend.owner}.db`]);
    await backend.close();
  }, 30_000);
});
