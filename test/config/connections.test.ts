import { describe, expect, it } from '@jest/globals';
import { load, problems } from './harness.ts';

const GITHUB = 'connections: { github: { app: "12", key: k.pem, secret: "hook-secret-0123456789" } }';
const yaml = (service: string, connections = GITHUB) => `tenant: 00000000-0000-4000-8000-000000000001
bot: 00000000-0000-4000-8000-000000000002
url: https://shipmate.corp
groups: { web: 00000000-0000-4000-8000-000000000003 }
channels: { approvals: "19:approvals" }
environments: { staging: , production: }
${connections}
services:
  storefront: { team: web, ${service} }
`;
const DEPLOY = 'deploy: { github: acme/storefront, workflow: deploy.yml }';
describe('connections', () => {
  it('are found by their kind, or by the name that an entry gives', () => {
    const one = load(yaml(`${DEPLOY}, versions: { github: releases }`));
    expect(one.services[0]).toMatchObject({
      deploy: { kind: 'github', connection: 'github' },
      versions: { kind: 'github', connection: 'github', config: { repo: 'acme/storefront' } },
    });
    const two = load(
      yaml(
        'deploy: { github: acme/storefront, workflow: deploy.yml, connection: ghe }, versions: { github: tags }',
        'connections: { ghe: { kind: github, app: "12", key: k.pem, url: https://ghe.corp/api/v3 } }',
      ),
    );
    expect(two.services[0]).toMatchObject({ deploy: { connection: 'ghe' }, versions: { connection: 'ghe' } });
  });

  it('lets versions come from elsewhere', () => {
    const config = load(
      yaml(
        'deploy: { jenkins: deploy/storefront }, versions: { github: acme/storefront, from: tags }',
        `${GITHUB.slice(0, -2)}, jenkins: { url: "https://jenkins.corp", user: shipmate, token: "jenkins-token-1" } }`,
      ),
    );
    expect(config.services[0]).toMatchObject({
      deploy: { kind: 'jenkins', connection: 'jenkins' },
      versions: { kind: 'github', connection: 'github', config: { github: 'acme/storefront', from: 'tags' } },
    });
  });

  it('says where one is missing, misspelt or of another kind', () => {
    const versions = 'versions: { git: ./repo }';
    expect(problems(yaml(`${DEPLOY}, ${versions}`, ''))).toEqual([
      expect.stringMatching(
        /^shipmate\.yaml:\d+:\d+ services\.storefront\.deploy: there is no connection of the kind github: add one at the top level/,
      ),
    ]);
    const named = DEPLOY.replace('deploy.yml', 'deploy.yml, connection: githbu');
    expect(problems(yaml(`${named}, ${versions}`))).toEqual([expect.stringMatching(/no connection "githbu".*github/)]);
    expect(
      problems(
        yaml(
          `${DEPLOY.replace('deploy.yml', 'deploy.yml, connection: ci')}, ${versions}`,
          'connections: { ci: { kind: jenkins, url: "https://jenkins.corp", user: u, token: "jenkins-token-1" } }',
        ),
      ),
    ).toEqual([expect.stringMatching(/connections\.ci is of the kind jenkins, and this needs one of the kind github/)]);
    expect(problems(yaml(`${DEPLOY}, ${versions}`, 'connections: { gihub: { app: "1" } }'))).toEqual([
      expect.stringMatching(/no kind of connection "gihub".*github/),
      expect.stringMatching(/no connection of the kind github/),
    ]);
    expect(problems(yaml(`${DEPLOY}, ${versions}`, 'connections: { github: { app: "1", key: k, urll: x } }'))).toEqual([
      expect.stringMatching(/this key is not known here.*url/),
    ]);
  });

  it('says in plain words what a value must be', () => {
    const service = `${DEPLOY.replace('deploy.yml', 'deploy.yml, environments: { prod: Production }')}, versions: { github: releases }`;
    expect(problems(yaml(service))).toEqual([
      expect.stringMatching(
        /environments\.prod: there is no environment "prod"; did you mean "production"\?|there is no environment "prod"; there are staging, production/,
      ),
    ]);
    expect(
      problems(yaml('deploy: { github: [acme/storefront], workflow: deploy.yml }, versions: { git: ./r }')),
    ).toEqual([expect.stringMatching(/deploy\.github: must be text$/)]);
    expect(problems(yaml('deploy: { command: ./d }, versions: { github: acme/storefront, from: relases }'))).toEqual([
      expect.stringMatching(/versions\.from: must be releases or tags or deployments$/),
    ]);
  });

  it('keeps their secrets out of what is compared and told, and redacts them', () => {
    const config = load(yaml(`${DEPLOY}, versions: { github: releases }`));
    expect(config.secrets).toContain('hook-secret-0123456789');
    expect(JSON.stringify(config.normalised)).not.toContain('hook-secret');
    const other = load(yaml(`${DEPLOY}, versions: { github: releases }`, GITHUB.replace('hook-secret', 'hook-tercet')));
    expect(other.hash).not.toBe(config.hash);
    // A new secret voids no approval.
    expect(other.policyHash('storefront', 'production')).toBe(config.policyHash('storefront', 'production'));
  });

  it('knows people by their logins', () => {
    const service = `${DEPLOY}, versions: { github: releases }`;
    const id = '00000000-0000-4000-8000-00000000000a';
    expect(load(`${yaml(service)}logins: { octo-ana: ${id} }\n`).logins).toEqual({ 'octo-ana': id });
    expect(problems(`${yaml(service)}logins: { octo-ana: ana }\n`)).toEqual([
      expect.stringMatching(/no Entra object id/),
    ]);
  });

  it('takes proxies from the environment', () => {
    const service = 'deploy: { command: ./deploy }, versions: { git: ./repo }';
    const env = { https_proxy: 'http://proxy.corp:3128', NO_PROXY: '.corp' };
    expect(load(yaml(service, ''), env).proxy).toEqual({ https: 'http://proxy.corp:3128', none: '.corp' });
  });
});
