import { fsyncSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';

/** A mail that arrived. */
export interface Mail {
  to: string[];
  messageId: string;
  subject: string;
  text: string;
}
export interface SmtpServer {
  host: string;
  port: number;
  /** In the order they arrived. */
  mails: readonly Mail[];
  close: () => Promise<void>;
}

const HOST = '127.0.0.1';

/** An SMTP server on the loopback. A mail is in `mails`, and `keep` has returned, before its sender is told that it was taken. */
export function startSmtp(keep: (mail: Mail) => void = () => {}, port = 0): Promise<SmtpServer> {
  const mails: Mail[] = [];
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    closeTimeout: 500,
    onData: (stream, session, answer) => {
      read(stream, session).then(
        (mail) => {
          try {
            keep(mail);
            mails.push(mail);
            answer(null);
          } catch (error) {
            answer(error as Error);
          }
        },
        (error: Error) => answer(error),
      );
    },
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, () => {
      // a sender that is killed resets its connection; that is no reason to stop
      server.on('error', () => {});
      const address = server.server.address();
      resolve({
        host: HOST,
        port: typeof address === 'object' && address !== null ? address.port : port,
        mails,
        close: () => new Promise((closed) => server.close(closed)),
      });
    });
  });
}

async function read(stream: AsyncIterable<Buffer>, { envelope }: SMTPServerSession): Promise<Mail> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  const raw = Buffer.concat(chunks).toString('utf8');
  const end = raw.indexOf('\r\n\r\n');
  const headers = raw.slice(0, end).replaceAll(/\r\n[ \t]+/g, ' ');
  const header = (name: string): string => new RegExp(`^${name}: *(.*)$`, 'im').exec(headers)?.[1]?.trim() ?? '';
  return {
    to: envelope.rcptTo.map(({ address }) => address),
    messageId: header('Message-ID'),
    subject: header('Subject'),
    text: raw.slice(end + 4).trim(),
  };
}

/** `node smtp.ts --out mails.ndjson --port-file port`: as a process of its own, so that its sender can be killed. */
async function serve(): Promise<void> {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, 'port-file': { type: 'string' }, port: { type: 'string', default: '0' } },
  });
  const { out, 'port-file': portFile } = values;
  if (out === undefined || portFile === undefined) throw new Error('Usage: smtp.ts --out <file> --port-file <file>');
  const file = openSync(out, 'a');
  const { port } = await startSmtp((mail) => {
    writeSync(file, `${JSON.stringify(mail)}\n`);
    fsyncSync(file);
  }, Number(values.port));
  // whoever waits for the file finds all of it
  writeFileSync(`${portFile}.new`, String(port));
  renameSync(`${portFile}.new`, portFile);
}

if (import.meta.main) await serve();
