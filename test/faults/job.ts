import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { createTransport } from 'nodemailer';
import { embedded, type Entry } from 'troupe';
import { afterAll } from 'vitest';
import type { Mail } from '../../examples/01-mail/smtp.ts';
import { unseal } from '../../src/chain.ts';
import { systemClock } from '../../src/clock.ts';
import { ownerId, runId } from '../../src/protocol/ids.ts';
import { Command } from '../src/cli/folder.ts';

/** Every job has the same id, so that all of them must come to the same output. */
export const RUN = runId('job');

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const [TROUPE, PLAN, CONFIG, SMTP] = [
  at('src/cli/main.ts'),
  at('examples/01-mail/plan.txt'),
  at('examples/01-mail/troupe.config.ts'),
  at('examples/01-mail/smtp.ts'),
];
const PATIENCE_MS = 30_000;

/** Some hundred processes load the same code. */
const COMPILED = mkdtempSync(join(tmpdir(), 'troupe-faults-compiled-'));
afterAll(() => rmSync(COMPILED, { recursive: true, force: true }));

/** Polls for a fact. @throws when it does not come about in time */
export async function until(fact: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!fact()) {
    if (performance.now() > deadline) throw new Error(`Waited ${PATIENCE_MS} ms in vain: ${what}.`);
    await new Promise((resolve) => void setTimeout(resolve, 1));
  }
}

/** The main job in a folder of its own. Its mail server and every command are processes. */
export class Job {
  readonly #folder = mkdtempSync(join(tmpdir(), 'troupe-faults-'));
  readonly #store = join(this.#folder, 'store');
  readonly #out = join(this.#folder, 'mails.ndjson');
  readonly #portFile = join(this.#folder, 'port');
  readonly #running = new Set<ChildProcess>();
  readonly #server: ChildProcess;
  /** What its processes have complained of. */
  complaints = '';
  #port = '';
  #copies = 0;

  private constructor() {
    this.#server = this.#spawn(SMTP, '--out', this.#out, '--port-file', this.#portFile);
  }

  static async open(): Promise<Job> {
    const job = new Job();
    await until(() => existsSync(job.#portFile), 'the mail server listens');
    job.#port = readFileSync(job.#portFile, 'utf8');
    return job;
  }

  #spawn(file: string, ...args: string[]): ChildProcess {
    const child = spawn(process.execPath, ['--conditions=troupe-source', file, ...args], {
      cwd: this.#folder,
      env: {
        PATH: process.env['PATH'],
        NODE_COMPILE_CACHE: COMPILED,
        SMTP_PORT: this.#port,
        TROUPE_DIR: this.#store,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    child.stderr.on('data', (text: Buffer) => (this.complaints += String(text)));
    child.on('close', () => this.#running.delete(child));
    return child;
  }

  begin(command: string, ...args: string[]): Command {
    return new Command(this.#spawn(TROUPE, command, '--config', CONFIG, '--json', ...args));
  }

  run(): Command {
    return this.begin('run', PLAN, '--id', RUN);
  }

  /** Every mail the server has kept. */
  mails(): Mail[] {
    const lines = readFileSync(this.#out, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Mail);
  }

  /** The server has read all that a killed sender had sent: it takes what is there before what comes now. */
  async delivered(): Promise<void> {
    const transport = createTransport({ host: '127.0.0.1', port: Number(this.#port), secure: false, ignoreTLS: true });
    await transport.verify();
    transport.close();
  }

  freezeServer(): void {
    this.#server.kill('SIGSTOP');
  }

  thawServer(): void {
    this.#server.kill('SIGCONT');
  }

  /** Counts the entries while somebody writes. It only reads: what a kill leaves behind stays as it was. */
  watch(): { entries: () => number; close: () => void } {
    const file = join(this.#store, 'troupe.db');
    let db: DatabaseSync | undefined;
    return {
      entries: () => {
        if (db === undefined && !existsSync(file)) return 0;
        db ??= new DatabaseSync(file, { readOnly: true, timeout: 1_000 });
        return Number(db.prepare('SELECT count(*) AS held FROM entries').get()?.['held']);
      },
      close: () => db?.close(),
    };
  }

  /** A store that takes everything but the intent of an irreversible call, until it is called. */
  async refuseIntents(): Promise<() => void> {
    await this.begin('ps').ended; // makes the store
    const db = new DatabaseSync(join(this.#store, 'troupe.db'), { timeout: 5_000 });
    const holds = (text: string): string => `instr(NEW.bytes, CAST('${text}' AS BLOB))`;
    db.exec(`CREATE TRIGGER refuse BEFORE INSERT ON entries WHEN ${holds('leaf.started')} AND ${holds('irreversible')}
      BEGIN SELECT RAISE(ABORT, 'refused'); END`);
    return () => {
      db.exec('DROP TRIGGER refuse');
      db.close();
    };
  }

  /** The journal, its chain checked. Read from a copy, so that whoever recovers finds what the kill has left. */
  async entries(): Promise<Entry[]> {
    if (!existsSync(join(this.#store, 'troupe.db'))) return [];
    const dir = join(this.#folder, `copy-${(this.#copies += 1)}`);
    cpSync(this.#store, dir, { recursive: true });
    const backend = await embedded({ dir }).open({ owner: ownerId('reader'), clock: systemClock() });
    try {
      const entries: Entry[] = [];
      for await (const { entry } of unseal(RUN, backend.journal.read(RUN))) entries.push(entry);
      return entries;
    } finally {
      await backend.close();
    }
  }

  async close(): Promise<void> {
    const closed = [...this.#running].map(async (child) => {
      const ended = once(child, 'close');
      child.kill('SIGKILL');
      await ended;
    });
    await Promise.all(closed);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
