import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { plan, PlanError, type Entry } from 'troupe';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { complaints } from '../../examples/01-mail/arrived.ts';
import { Progress } from '../../examples/01-mail/progress.ts';
import type { Mail } from '../../examples/01-mail/smtp.ts';
import { contactsModule, mailModule, textModule } from '../../examples/01-mail/tools.ts';
import { readContacts } from '../../examples/01-mail/vcard.ts';

const example = fileURLToPath(new URL('../../examples/01-mail/', import.meta.url));
const PLAN = readFileSync(join(example, 'plan.txt'), 'utf8');
const mail = mailModule({ host: '127.0.0.1', port: 9 });
const tools = [contactsModule(join(example, 'contacts.vcf')), textModule, mail];

const card = (...lines: string[]): string => ['BEGIN:VCARD', 'VERSION:3.0', ...lines, 'END:VCARD', ''].join('\r\n');
const ana = card('FN:Ana', 'EMAIL:ana@a.example');

describe('the vCard reader', () => {
  it('reads the twelve usable cards of the example, and says where the thirteenth is broken', async () => {
    const { contacts, warnings } = readContacts(await readFile(join(example, 'contacts.vcf'), 'utf8'));
    expect(contacts).toHaveLength(12);
    expect(contacts).toContainEqual({ name: 'Inés Fernández de la Torre, PhD', email: 'ines@observatorio.example' });
    // folded, preferred, and behind a group
    expect(contacts.map(({ email }) => email)).toEqual(
      expect.arrayContaining([
        'tomas.dvorak-with-a-rather-long-mailbox-name@orchestr.example',
        'yamada.hanako@kobo.example',
        'maire@obrien.example',
      ]),
    );
    expect(warnings).toEqual([{ line: 57, reason: expect.stringContaining('no ":" between name and value') }]);
  });

  it.each([
    ['a card that is not closed', `BEGIN:VCARD\r\nFN:Bo\r\n${ana}`, 1, 'has no END:VCARD'],
    ['text outside a card', `${ana}hello\r\nthere\r\n${ana}`, 5 + 1, 'outside a card'],
    ['a card without a name', `${ana}${card('EMAIL:x@y.example')}`, 6, 'no name (FN)'],
    ['a card without an address', card('FN:Bo'), 1, 'Bo has no mail address'],
    ['an address that is none', card('FN:Bo', 'EMAIL:bo at home'), 1, '"bo at home" of Bo is not a mail address'],
    ['an old version', 'BEGIN:VCARD\nVERSION:2.1\nFN:Bo\nEND:VCARD', 2, 'version 2.1 is not read'],
    ['a line without a name', card('FN:Bo', ':x'), 4, 'no ":" between name and value'],
  ])('leaves out %s', (_, text, line, reason) => {
    const { contacts, warnings } = readContacts(text);
    expect(warnings).toEqual([{ line, reason: expect.stringContaining(reason) }]);
    expect(contacts).toHaveLength(text.split('FN:Ana').length - 1);
  });

  it('keeps the cards around whatever stands there', () => {
    const piece = fc.constantFrom(
      'BEGIN:VCARD',
      'END:VCARD',
      '\r\n',
      ' ',
      'FN:',
      'EMAIL;PREF="',
      ':',
      'a@b.example',
      '\\',
    );
    const anyText = fc.oneof(
      fc.string(),
      fc.array(piece).map((pieces) => pieces.join('')),
    );
    fc.assert(
      fc.property(anyText, (text) => {
        const { contacts } = readContacts(`${ana}\r\n${text}\r\n${ana}`);
        expect([contacts.at(0)?.name, contacts.at(-1)?.name, contacts.length > 1]).toEqual(['Ana', 'Ana', true]);
      }),
    );
  });
});

describe('the plan', () => {
  it('may send mail and read contacts, and nothing else', () => {
    const erase = {
      ...textModule,
      name: 'files',
      tools: textModule.tools.map((tool) => ({ ...tool, name: 'erase', phrases: ['erase all'] })),
    };
    const parse = () =>
      plan.parse(`${PLAN}d. Erase all: "x"`, { tools: [...tools, erase], module: mail, file: 'plan.txt' });
    expect(parse).toThrow(PlanError);
    expect(parse).toThrow('plan.txt:4:4: This plan may not call files.erase');
  });
});

describe('what arrived', () => {
  const sent = (...to: string[]): Mail => ({ to, messageId: '', subject: '', text: '' });
  const contacts = [
    { name: 'Ana', email: 'ana@a.example' },
    { name: 'Bo', email: 'bo@b.example' },
  ];
  it('is complained of where somebody has none, two, or is a stranger', () => {
    expect(complaints(contacts, [sent('ana@a.example'), sent('bo@b.example')])).toEqual([]);
    expect(complaints(contacts, [sent('ana@a.example'), sent('ana@a.example'), sent('cy@c.example')])).toEqual([
      'Bo <bo@b.example> got nothing',
      'ana@a.example got it 2 times',
      'cy@c.example got it, and is no contact',
    ]);
  });
});

describe('progress', () => {
  const hello = plan.parse(PLAN, { tools, module: mail });
  const entry = (type: string, target: string, event: unknown = null): Entry => ({ type, target, event }) as Entry;
  const entries = [
    entry('leaf.started', 'body/a/attempt'),
    entry('leaf.succeeded', 'body/a/attempt', { output: [1, 2] }),
    entry('leaf.started', 'body/c/mail.send_email/attempt'),
    entry('leaf.succeeded', 'body/c/mail.send_email/attempt', { output: {} }),
  ];
  const shown = (more: Entry[], isTTY: boolean): string[] => {
    const written: string[] = [];
    const progress = new Progress(hello, PLAN, { isTTY, columns: 24, write: (text) => written.push(text) });
    for (const each of [...entries, ...more]) progress.entry(each);
    return written;
  };

  it('is a line per change where it is piped', () => {
    expect(shown([entry('run.killed', 'run')], false)).toEqual([
      '● a. Get all contacts\n',
      '✓ a. Get all contacts\n',
      '● c. Send emails (requires steps a and b)  0/2\n',
      '✗ c. Send emails (requires steps a and b)  1/2\n',
    ]);
  });

  it('is drawn over itself on a terminal, in its width', () => {
    const last = shown([entry('run.completed', 'run')], true).at(-1) ?? '';
    expect(last.startsWith('\u001B[3A\u001B[0J')).toBe(true);
    // oxlint-disable-next-line no-control-regex
    expect(last.replaceAll(/\u001B\[\d+[mAJ]/g, '').split('\n')).toEqual([
      '✓ a. Get all contacts',
      '✓ b. Compose Email mess',
      '✓ c. Send emails (requi',
      '',
    ]);
  });
});

const children: ReturnType<typeof spawn>[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

function start(file: string, ...args: string[]) {
  const child = spawn(process.execPath, ['--conditions=troupe-source', join(example, file), ...args], { cwd: example });
  children.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  return { ended: once(child, 'close').then(([code]) => ({ code: code as number, output })) };
}

describe('the main job', () => {
  it('goes from text to delivered mail, and replays equal', async () => {
    const since = performance.now();
    const { code, output } = await start('main.ts').ended;
    expect(output).toContain('contacts.vcf:57: card left out: no ":" between name and value');
    expect(output).toContain('✓ c. Send emails (requires steps a and b)  12/12\n');
    expect(output).toMatch(
      /run {7}\S+\nstate {5}completed\nsteps {5}14\nduration {2}\d+ ms\nreason {4}every step is done\n/,
    );
    expect(output.match(/^arrived .*: Hello World!$/gm)).toHaveLength(12);
    expect(output).toContain('12 mails arrived: one for each of 12 contacts, nobody twice, nobody missing.');
    expect(output).toMatch(/Replayed \d+ entries: equal, completed again, nothing executed, no mail sent\./);
    expect(output).not.toContain('\u001B');
    expect(code).toBe(0);
    expect(performance.now() - since).toBeLessThan(5_000);
  });

  it('sends through a server of its own process, which keeps each mail before it says so', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'troupe-mail-test-'));
    folders.push(folder);
    const out = join(folder, 'mails.ndjson');
    const portFile = join(folder, 'port');
    void start('smtp.ts', '--out', out, '--port-file', portFile);
    await vi.waitUntil(() => existsSync(portFile), { timeout: 5_000 });
    const { code } = await start('main.ts', '--smtp', await readFile(portFile, 'utf8'), '--dir', join(folder, 'runs'))
      .ended;
    expect(code).toBe(0);
    const mails = (await readFile(out, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Mail);
    const { contacts } = readContacts(await readFile(join(example, 'contacts.vcf'), 'utf8'));
    expect(complaints(contacts, mails)).toEqual([]);
    expect(new Set(mails.map(({ messageId }) => messageId)).size).toBe(12);
    expect(mails[0]).toMatchObject({ subject: 'Hello World!', text: 'Hello World!' });
  });

  it('fails, and says why, where no server listens', async () => {
    const { code, output } = await start('main.ts', '--smtp', '9').ended;
    expect(output).toMatch(/state {5}failed\n.*\n.*\nreason {4}Step c: connect ECONNREFUSED/);
    expect(code).toBe(1);
  });
});
