"""The panel: registers every blueprint, filter and handler with the application."""

from flask import Flask


def register(app: Flask) -> None:
    """Attach the panel to the application."""
    from app.config import FIRST_EXCHANGE
    from app.services.api.tokens import expires_soon as token_expires_soon
    from app.services.counts import Counts
    from app.web import (
        assets,
        colours,
        compression,
        error_pages,
        fields,
        findings,
        formats,
        health,
        http,
        layout,
        locale,
        poll,
        rows,
        urls,
        wording,
    )
    from app.web.accounts import links, login, profile, provider, second_factor, session, sources, tokens, users
    from app.web.accounts.browsers import describe_browser
    from app.web.api import views as api
    from app.web.audit import views as audit
    from app.web.audit import wording as audit_wording
    from app.web.contacts import screen_pop
    from app.web.contacts import views as contacts
    from app.web.contacts import wording as contact_wording
    from app.web.guide import views as guide
    from app.web.missed import views as missed
    from app.web.missed import wording as missed_wording
    from app.web.modules import views as modules
    from app.web.modules import wording as module_wording
    from app.web.monitoring import views as monitoring
    from app.web.notifications import browser
    from app.web.notifications import views as notifications
    from app.web.pbx import destinations, extensions, queues
    from app.web.pbx.fields import location_suggestions
    from app.web.prompts import by_phone, preview
    from app.web.prompts import views as recordings
    from app.web.prompts import wording as prompt_wording
    from app.web.report import filters, overview
    from app.web.report import views as report
    from app.web.requests import actions, call, mine, pause
    from app.web.requests import views as requests
    from app.web.requests import wording as request_wording
    from app.web.requests.reasons import explain_reason
    from app.web.requests.remedies import find_remedies
    from app.web.search import views as search
    from app.web.settings import views as settings
    from app.web.settings import wording as settings_wording
    from app.web.setup import views as setup
    from app.web.setup import wording as setup_wording
    from app.web.website import views as website

    bazang = app.extensions["bazang"]
    bazang["counts"] = {FIRST_EXCHANGE: Counts(bazang["database"])}
    for part in (
        *(
            compression,
            http,
            urls,
            assets,
            locale,
            formats,
            findings,
            fields,
            layout,
            health,
            poll,
            rows,
            error_pages,
            session,
        ),
        sources,
    ):
        part.register(app)
    for views in (
        *(login, provider, links, profile, second_factor, tokens, poll, overview, requests, actions, mine, missed),
        *(pause, report, monitoring, browser, notifications, search, filters, guide, contacts),
        *(modules, destinations, preview, by_phone, recordings, extensions, queues, settings, setup, users, audit),
        *(api, call, website),
    ):
        app.register_blueprint(views.blueprint)
    app.jinja_env.globals.update(
        colours=colours,
        describe_browser=describe_browser,
        wording=wording,
        audit_wording=audit_wording,
        contact_wording=contact_wording,
        missed_wording=missed_wording,
        module_wording=module_wording,
        prompt_wording=prompt_wording,
        request_wording=request_wording,
        settings_wording=settings_wording,
        setup_wording=setup_wording,
        explain_reason=explain_reason,
        find_remedies=find_remedies,
        scope_label=tokens.scope_label,
        token_expires_soon=token_expires_soon,
        location_suggestions=location_suggestions,
        screen_pops=screen_pop.current_screen_pops,
    )
