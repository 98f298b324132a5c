import { readFile } from 'node:fs/promises';
import { createTransport } from 'nodemailer';
import { module, tool, type Module } from 'troupe';
import { z } from 'zod';
import { readContacts } from './vcard.ts';

const contactSchema = z.object({ name: z.string(), email: z.email() });

export const contactsModule = (file: string): Module =>
  module({
    name: 'contacts',
    tools: [
      tool({
        name: 'list',
        description: 'Everybody in the address book',
        phrases: ['get all contacts', 'list all contacts'],
        inputSchema: z.object({}),
        outputSchema: z.array(contactSchema),
        effect: 'read',
        execute: async () => readContacts(await readFile(file, 'utf8')).contacts,
      }),
    ],
  });

export const textModule = module({
  name: 'text',
  tools: [
    tool({
      name: 'compose',
      description: 'Compose a message',
      phrases: ['compose email message', 'compose message'],
      inputSchema: z.object({ body: z.string() }),
      outputSchema: z.object({ body: z.string(), subject: z.string().optional() }),
      effect: 'read',
      execute: ({ body }) => ({ body: `${body}\n`, subject: body.split('\n')[0] ?? '' }),
    }),
  ],
});

export interface MailServer {
  host: string;
  port: number;
}

/** May send mail, read the contacts and compose; nothing else. */
export function mailModule({ host, port }: MailServer): Module {
  // A pool sends a mail again when its connection closes, though it may have arrived: whether to is for the run to say.
  const pool = { host, port, pool: true, maxConnections: 4, maxRequeues: 0, secure: false, ignoreTLS: true } as const;
  let transport: ReturnType<typeof createTransport<unknown>> | undefined;
  return module({
    name: 'mail',
    allow: ['contacts.list', 'text.compose'],
    concurrency: 4,
    start: () => {
      transport = createTransport(pool);
    },
    stop: () => transport?.close(),
    tools: [
      tool({
        name: 'send_email',
        description: 'Send one email',
        phrases: ['send emails', 'send an email'],
        inputSchema: contactSchema.extend({ body: z.string(), subject: z.string().optional() }),
        outputSchema: z.object({ id: z.string() }),
        effect: 'irreversible',
        timeout: '10s',
        execute: async ({ name, email, body, subject = 'A message' }, { idempotencyKey }) => {
          const messageId = `<${idempotencyKey}@troupe.example>`;
          await transport
            ?.sendMail({ from: 'troupe@troupe.example', to: { name, address: email }, subject, text: body, messageId })
            .catch(rethrow);
          return { id: messageId };
        },
      }),
    ],
  });
}

/** Never connected, or refused for now: that mail did not go out, and may be tried again. Anything else leaves it open. */
function rethrow(error: Error & { syscall?: string; responseCode?: number }): never {
  const { syscall, responseCode = 0 } = error;
  if (syscall === 'connect' || (responseCode >= 400 && responseCode < 500))
    Object.assign(error, { notPerformed: true });
  throw error;
}
