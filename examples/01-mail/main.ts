import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { cwd, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createTroupe, embedded, plan, TroupeError, type RunHandle, type Troupe } from 'troupe';
import { complaints } from './arrived.ts';
import { Progress } from './progress.ts';
import { startSmtp, type SmtpServer } from './smtp.ts';
import { contactsModule, mailModule, textModule } from './tools.ts';
import { readContacts, type Contact } from './vcard.ts';

const beside = (name: string): string => relative(cwd(), fileURLToPath(new URL(name, import.meta.url)));
const PLAN = beside('plan.txt');
const CONTACTS = beside('contacts.vcf');

const WAITS_FOR_A_PERSON = 5;

const say = (line = ''): void => void stdout.write(`${line}\n`);

/** `--dir`: where the run is kept; a temporary folder by default. `--smtp`: the port of a server that runs already. */
const { values: options } = parseArgs({ options: { dir: { type: 'string' }, smtp: { type: 'string' } } });

async function main(): Promise<void> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'troupe-mail-')));
  const smtp = options.smtp === undefined ? await startSmtp() : undefined;
  try {
    await job(dir, smtp);
  } finally {
    await smtp?.close();
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  }
}

async function job(dir: string, smtp: SmtpServer | undefined): Promise<void> {
  const { contacts, warnings } = readContacts(await readFile(CONTACTS, 'utf8'));
  for (const { line, reason } of warnings) console.warn(`${CONTACTS}:${line}: card left out: ${reason}`);

  const mail = mailModule(smtp ?? { host: '127.0.0.1', port: Number(options.smtp) });
  const tools = [contactsModule(CONTACTS), textModule, mail];
  const text = await readFile(PLAN, 'utf8');
  const hello = plan.parse(text, { name: 'hello', file: PLAN, tools, module: mail });

  const troupe = await createTroupe({ backend: embedded({ dir }), tools, recover: false });
  try {
    const run = await troupe.start(hello, {});
    const progress = new Progress(hello, text, stdout);
    run.on('*', (entry) => progress.entry(entry));
    if ((await run.settled()) === 'waiting') return await waitForPerson(run);
    await summarise(run);
    if (smtp !== undefined) report(contacts, smtp);
    await replay(troupe, run.id, smtp);
  } finally {
    await troupe.close();
  }
}

/** Calls in doubt: somebody must find out whether they happened. */
async function waitForPerson(run: RunHandle): Promise<void> {
  for (const { call, input } of await run.inDoubt()) console.warn(`in doubt: ${call} ${JSON.stringify(input)}`);
  console.warn(`Nobody knows whether these happened. Find out, then: troupe resolve ${run.id} <call> …`);
  process.exitCode = WAITS_FOR_A_PERSON;
}

async function summarise(run: RunHandle): Promise<void> {
  const { run: id, status, steps, durationMs = 0, reason } = (await run.result()).metadata;
  if (status !== 'completed') process.exitCode = 1;
  say();
  say(`run       ${id}`);
  say(`state     ${status}`);
  say(`steps     ${steps}`);
  say(`duration  ${durationMs} ms`);
  say(`reason    ${reason ?? 'every step is done'}`);
}

function report(contacts: readonly Contact[], { mails }: SmtpServer): void {
  say();
  for (const { to, text } of mails) say(`arrived   ${to.join(', ')}: ${text}`);
  const wrong = complaints(contacts, mails);
  for (const complaint of wrong) say(`wrong     ${complaint}`);
  if (wrong.length > 0) process.exitCode = 1;
  else say(`${mails.length} mails arrived: one for each of ${contacts.length} contacts, nobody twice, nobody missing.`);
}

async function replay(troupe: Troupe, id: string, smtp: SmtpServer | undefined): Promise<void> {
  const before = smtp?.mails.length;
  // rejects if it is not equal
  const { entries, status } = await troupe.replay(id);
  if (smtp?.mails.length !== before) throw new Error('The replay sent mail.');
  say(`Replayed ${entries} entries: equal, ${status} again, nothing executed, no mail sent.`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof TroupeError ? error.message : error);
  process.exitCode = 1;
}
