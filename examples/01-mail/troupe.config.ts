import { env } from 'node:process';
import { fileURLToPath } from 'node:url';
import { embedded } from 'troupe';
import { contactsModule, mailModule, textModule } from './tools.ts';

/** For the `troupe` command: what `main.ts --dir` left is recovered with it, and the mail goes to the server at SMTP_PORT. */
const mail = mailModule({ host: '127.0.0.1', port: Number(env['SMTP_PORT'] ?? 2525) });

export default {
  backend: embedded({ dir: env['TROUPE_DIR'] ?? '.troupe' }),
  tools: [contactsModule(fileURLToPath(new URL('contacts.vcf', import.meta.url))), textModule, mail],
  module: mail,
};
