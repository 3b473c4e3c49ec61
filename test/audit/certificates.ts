import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Paths of PEM files: `ca` signed `server` (localhost, 127.0.0.1) and `client`; `otherCa` signed nothing of them. */
export interface Certificates {
  ca: string;
  otherCa: string;
  server: { cert: Buffer; key: Buffer };
  client: { cert: string; key: string };
  remove(): void;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Made by openssl, valid for two days. */
export function makeCertificates(): Certificates {
  const folder = mkdtempSync(path.join(tmpdir(), 'shipmate-tls-'));
  const at = (name: string) => path.join(folder, name);
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const authority = (name: string) =>
    openssl(
      'req',
      '-x509',
      ...KEY,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-subj',
      `/CN=${name}`,
      '-days',
      '2',
    );
  const signed = (name: string, extension: string) => {
    writeFileSync(at(`${name}.ext`), extension);
    openssl('req', '-new', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    openssl(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'],
      ...['-out', `${name}.pem`, '-days', '2', '-extfile', `${name}.ext`],
    );
  };
  authority('ca');
  authority('other');
  signed('server', 'subjectAltName=DNS:localhost,DNS:logs.test,IP:127.0.0.1');
  signed('client', 'extendedKeyUsage=clientAuth');
  return {
    ca: at('ca.pem'),
    otherCa: at('other.pem'),
    server: { cert: readFileSync(at('server.pem')), key: readFileSync(at('server.key')) },
    client: { cert: at('client.pem'), key: at('client.key') },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
